"""A success that is answered as stored, and stored as failed. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.false_failed import FIXES, transient_error_answer
from stress.races.asset_deadlock.scenario import SCENARIO
from stress.races.false_failed import checker
from stress.races.race import Headline, Race, Reproducer

RACE = Race(
    name="false_failed",
    place=6,
    summary="A task that reported success, and got the answer that this is stored, is stored as failed.",
    found_by="the schedule search",
    scenario=SCENARIO,
    check=checker.check,
    causes=checker.CAUSES,
    unit="reports answered as stored",
    opportunity="the success of a task with outlets was answered as stored (2xx)",
    headline=Headline(
        "false_failed_tasks",
        "Tasks whose success was answered as stored, and which are stored as failed",
        one_more=("a task instance with outlets is stored as failed although its success was answered as stored"),
    ),
    reproducers=(Reproducer("false_failed", removed_by=transient_error_answer.FIX),),
    fixes=FIXES,
)
