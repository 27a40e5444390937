"""Clearing that is decided by a stale state. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.lost_clear import FIXES, clearing_row_locks
from stress.races.race import Race, Reproducer

RACE = Race(
    name="lost_clear",
    place=10,
    summary=(
        "A clear was answered as done, and the task never runs, or runs twice at once: the clear was decided "
        "by a state that was out of date."
    ),
    found_by="the schedule search",
    reproducers=(
        Reproducer("lost_clear_ended_run", removed_by=clearing_row_locks.FIX),
        Reproducer("lost_clear_started_task", removed_by=clearing_row_locks.FIX),
    ),
    fixes=FIXES,
)
