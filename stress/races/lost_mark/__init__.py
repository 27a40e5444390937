"""Marking of tasks and runs that is overwritten, or deadlocks. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.lost_mark import FIXES, marking_run_lock, run_marking_row_locks
from stress.races.race import Race, Reproducer

RACE = Race(
    name="lost_mark",
    place=11,
    summary="A scheduler overwrote a task's mark after it was answered as stored, or deadlocked with it.",
    found_by="a run with faults, then the schedule search",
    reproducers=(
        Reproducer("lost_mark_overwrite", removed_by=marking_run_lock.FIX),
        Reproducer("lost_mark_deadlock", removed_by=marking_run_lock.FIX),
        Reproducer("lost_mark_run_deadlock", removed_by=run_marking_row_locks.FIX),
        Reproducer("lost_mark_run_success", removed_by=run_marking_row_locks.FIX),
    ),
    fixes=FIXES,
)
