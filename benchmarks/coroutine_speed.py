"""How many schedules of coroutines a second? `.venv/bin/python benchmarks/coroutine_speed.py [X.Y.Z] [FIX,...]`

Explores pairs of the triggerer's comms inside the release's environment for ten seconds each (or to their end), and
prints schedules, steps (handles that event loops ran) and microseconds a step. What bounds it is the interpreter: a
schedule is a new event loop, a socket pair, the real init_comms, and some thirty handles of real asyncio with a choice
before each; there is no waiting in it (CPU time is the whole of it), so that a second core would double it.
Pairs with threads pay for handing over real threads as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from stress.arms.environments import environment_for
from stress.arms.releases import DEFAULT_RELEASE, check
from stress.layout import ROOT

PAIRS = ("comms_with_cancellation", "comms_with_two_cancellations", "comms_with_foreign_thread")
BUDGET_S = 10.0

INSIDE = f"""
import time
from airflow_stress_explore.aio import search
from airflow_stress_explore.airflow.comms.operations import maker_of
from airflow_stress_explore.airflow.comms.pairs import PAIRS
from airflow_stress_explore.airflow.comms.surroundings import runs_prepared
with runs_prepared():
    for name in {PAIRS!r}:
        make = maker_of(PAIRS[name])
        steps = 0
        def run(scheduler):
            global steps
            testbed = make(scheduler)
            failures = testbed.run()
            steps += testbed.loop.ran
            return failures
        whole = search(run, 2, {BUDGET_S})
        cpu_s = time.process_time()
        failed = sum(1 for _ in whole)
        cpu_s = time.process_time() - cpu_s
        tried, seconds = whole.progress.tried, whole.progress.seconds
        print(f"{{name:30}} {{tried:6,}} schedules ({{failed:,}} failed) in {{seconds:5.1f}} s:"
              f" {{tried / seconds:6,.0f}}/s ({{tried / cpu_s:,.0f}} a CPU second), {{steps / tried:.0f}} steps each,"
              f" {{seconds / steps * 1e6:.0f}} us a step")
"""


def main(release: str, fixes: str) -> int:
    """Measure and print."""
    environment = environment_for(check(release))
    with tempfile.TemporaryDirectory() as home:
        variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))},
            "AIRFLOW_HOME": home,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "AIRFLOW_STRESS_FIXES": fixes,
            "PYTHONPATH": os.pathsep.join(map(str, [ROOT / "fixes", ROOT / "stress" / "mounted"])),
        }
        print(f"Airflow {release}, {fixes or 'stock'}, to 2 preemptions", flush=True)
        return subprocess.run([str(environment.python), "-c", INSIDE], env=variables, check=False).returncode


if __name__ == "__main__":
    given = sys.argv[1:]
    raise SystemExit(main(given[0] if given else DEFAULT_RELEASE, given[1] if len(given) > 1 else ""))
