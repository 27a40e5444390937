"""A scheduler's retry that works without its row locks. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.scheduling_retry import FIXES
from stress.races.race import Race

RACE = Race(
    name="scheduling_retry",
    place=13,
    summary=(
        "A scheduler retried the scheduling of runs after a database error, without the row locks that the "
        "rollback had released."
    ),
    found_by="a run",
    fixes=FIXES,
    reproduced_by="pytest tests/airflow -k scheduling_retry",
)
