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
    opportunity="a worker reported the success of a task with outlets and was told (2xx) that it is stored",
    headline=Headline(
        "false_failed_tasks",
        "Tasks that reported success, were told that it is stored, and are stored as failed",
        one_more=(
            "a task instance with outlets is stored as failed although its worker was told that its success is stored"
        ),
    ),
    reproducers=(Reproducer("false_failed", removed_by=transient_error_answer.FIX),),
    fixes=FIXES,
)
