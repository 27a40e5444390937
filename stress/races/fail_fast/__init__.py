"""The failure of a task of a fail_fast DAG against another report. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.fail_fast import FIXES, fail_fast_lock_order
from stress.races.race import Race, Reproducer

RACE = Race(
    name="fail_fast",
    place=8,
    summary=(
        "A failure ended the other tasks of a fail_fast DAG by a stale read: it overwrote a success that was "
        "already answered, or deadlocked with another report."
    ),
    found_by="the schedule search",
    reproducers=(
        Reproducer("fail_fast_overwrite", removed_by=fail_fast_lock_order.FIX),
        Reproducer("fail_fast_deadlock", removed_by=fail_fast_lock_order.FIX),
    ),
    fixes=FIXES,
)
