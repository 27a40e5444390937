"""How long is a cluster unwell after each kind of fault? On a running cluster, each kind several times.

    .venv/bin/python benchmarks/fault_recovery.py [TIMES]
    docker compose run --rm -v "$PWD/benchmarks":/airflow-stress/benchmarks:ro --entrypoint python stress \\
        -m benchmarks.fault_recovery [TIMES]

Injects a fault, undoes it after at most 5 s, and waits until every component has given a sign of life since then.
Kinds take turns. Prints for each kind how often, and the median and longest time from the undoing to the last sign of
life, s; ends with 1 if one took over 60 s.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from stress.cluster.errors import ComponentFailed
from stress.faults import FAULTS
from stress.faults.base import PlannedFault
from stress.plan import Options, check
from stress.run.parts import runtime_of
from stress.run.settings import cluster_settings

LONGEST_S = 5.0
WITHIN_S = 60.0


def main(times: int) -> int:
    """Measure and print."""
    place = os.environ.get("AIRFLOW_STRESS_RUNTIME", "local")
    took: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        plan = check(Options(arms=("fixed",), runtime=place, faults="all", seed="1", out=f"{scratch}/run"))
        runtime = runtime_of(plan)
        try:
            cluster = runtime.prepare(plan.arms, print).open(
                plan.arms[0], 0, Path(scratch) / "logs", cluster_settings(plan)
            )
            cluster.start()
            random = Random(1)  # noqa: S311 - the same faults every time
            for number in range(times * len(plan.faults)):
                fault = FAULTS[plan.faults[number % len(plan.faults)]]
                seconds = fault.seconds(random, LONGEST_S)
                planned = PlannedFault(
                    number, 0.0, fault.name, random.choice(fault.targets), seconds, fault.numbers(random)
                )
                try:
                    fault.inject(cluster, planned)
                    _meanwhile(cluster.poll, seconds)
                except ComponentFailed as error:
                    print(f"{fault.name} of {planned.target}: missed ({error})")
                finally:
                    fault.heal(cluster, planned)
                healed = time.time()
                missing = cluster.unhealthy(healed)
                while missing and time.time() - healed < WITHIN_S:
                    cluster.poll()
                    time.sleep(0.2)
                    missing = cluster.unhealthy(healed)
                took.setdefault(fault.name, []).append(time.time() - healed)
                end = f"not healthy: {sorted(missing)}" if missing else f"healthy after {took[fault.name][-1]:.1f} s"
                print(f"{fault.name:9} {planned.target:13} {seconds:6.3f} s {planned.detail}: {end}", flush=True)
        finally:
            runtime.close()
    for name, seconds_taken in took.items():
        print(
            f"{name:9} {len(seconds_taken)} times: median {statistics.median(seconds_taken):.1f} s, "
            f"longest {max(seconds_taken):.1f} s"
        )
    return int(any(second >= WITHIN_S for seconds_taken in took.values() for second in seconds_taken))


def _meanwhile(look: Callable[[], object], seconds: float) -> None:
    """Keep looking while the fault lasts, as a run does."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        look()
        time.sleep(min(0.2, max(0.0, until - time.monotonic())))


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
