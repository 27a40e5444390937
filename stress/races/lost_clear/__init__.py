"""Clearing that is decided by a stale state. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.lost_clear import FIXES, clearing_row_locks
from stress.races.lost_clear import checker
from stress.races.lost_clear.scenario import SCENARIO
from stress.races.race import Headline, Race, Reproducer

RACE = Race(
    name="lost_clear",
    place=10,
    summary=(
        "A clear was answered as done, and the task never runs, or runs twice at once: the clear was decided "
        "by a state that was out of date."
    ),
    found_by="the schedule search",
    scenario=SCENARIO,
    check=checker.check,
    causes=checker.CAUSES,
    unit="clears",
    opportunity="a clear within 2 s of the report of the last task of its run was answered as done",
    headline=Headline(
        "lost_clears",
        "Clears that were answered as done and whose task never runs",
        one_more="a clear was answered as done; the run has ended as success and its cleared task has no state",
    ),
    reproducers=(
        Reproducer("lost_clear_ended_run", removed_by=clearing_row_locks.FIX),
        Reproducer("lost_clear_started_task", removed_by=clearing_row_locks.FIX),
    ),
    fixes=FIXES,
)
