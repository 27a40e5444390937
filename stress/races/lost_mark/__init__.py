"""Marking of tasks and runs that is overwritten, or deadlocks. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.lost_mark import FIXES, marking_run_lock, run_marking_row_locks
from stress.races.lost_mark import checker
from stress.races.lost_mark.scenario import SCENARIO
from stress.races.race import Headline, Race, Reproducer

RACE = Race(
    name="lost_mark",
    place=11,
    summary="A scheduler overwrote a task's mark after it was answered as stored, or deadlocked with it.",
    found_by="a run with faults, then the schedule search",
    scenario=SCENARIO,
    check=checker.check,
    causes=checker.CAUSES,
    unit="successes in marked runs",
    opportunity="a success was reported in a run that was marked failed as its tasks ended",
    headline=Headline(
        "lost_marks",
        "Marks of runs that overwrote a stored success, were overwritten, or deadlocked",
        one_more="the mark of a run overwrote a success that was answered as stored, was overwritten, or deadlocked",
    ),
    reproducers=(
        Reproducer("lost_mark_overwrite", removed_by=marking_run_lock.FIX),
        Reproducer("lost_mark_deadlock", removed_by=marking_run_lock.FIX),
        Reproducer("lost_mark_run_deadlock", removed_by=run_marking_row_locks.FIX),
        Reproducer("lost_mark_run_success", removed_by=run_marking_row_locks.FIX),
    ),
    fixes=FIXES,
)
