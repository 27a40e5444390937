"""The passes of the scheduler's loop are recorded by the timer that this release's scheduler uses."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The scheduler's own reference to its metrics: `Stats` (up to 3.2) or `stats`.
TIMED = """
import time
import airflow_stress_loops
from airflow.jobs import scheduler_job_runner as scheduler
assert airflow_stress_loops.record_loops()
metrics = getattr(scheduler, "Stats", None) or scheduler.stats
with metrics.timer("scheduler.scheduler_loop_duration") as timer:
    time.sleep(0.05)
with metrics.timer("scheduler.critical_section_duration"):
    pass
stopwatch = metrics.timer().start()
stopwatch.stop()
print(timer.duration)
"""


def test_only_the_passes_of_the_loop_are_recorded_with_airflow_s_own_duration(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TIMED],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "stress" / "mounted"),
            "AIRFLOW_STRESS_SHARED": str(tmp_path),
            "AIRFLOW_STRESS_COMPONENT": "scheduler-2",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    [file] = (tmp_path / "scheduler_loops").iterdir()
    assert file.name.startswith("scheduler-2-")
    [record] = [json.loads(line) for line in file.read_text().splitlines()]
    assert round(record["s"] * 1000, 3) == round(float(done.stdout.split()[-1]), 3)
    assert record["s"] >= 0.05


def test_the_scheduler_times_its_loop_under_the_name_that_is_recorded() -> None:
    from airflow.jobs import scheduler_job_runner

    source = Path(str(scheduler_job_runner.__file__)).read_text()
    names = [
        call.args[0].value
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "timer"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    ]
    assert names.count("scheduler.scheduler_loop_duration") == 1
