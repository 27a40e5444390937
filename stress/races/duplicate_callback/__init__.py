"""Duplicate callbacks of missed deadlines. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.duplicate_callback import (
    FIXES,
    callback_claim,
    callback_trigger_owner,
    deadline_claim,
)
from stress.races.duplicate_callback import checker
from stress.races.duplicate_callback.scenario import SCENARIO, SYNC
from stress.races.race import Headline, Race, Reproducer

RACE = Race(
    name="duplicate_callback",
    place=2,
    summary="One missed deadline ran its callback more than once (apache/airflow#64710).",
    issues=(64710, 72848),
    found_by="the report",
    scenario=SCENARIO,
    also=(SYNC,),
    check=checker.check,
    causes=checker.CAUSES,
    unit="callbacks that ran",
    opportunity="the callback of a missed deadline ran at least once",
    headline=Headline(
        "duplicate_callbacks",
        "Missed deadlines whose callback ran more than once",
        one_more="a missed deadline's callback ran more than once (its own receipts; 3 executions are one incident)",
    ),
    reproducers=(
        Reproducer("duplicate_callback_schedulers", removed_by=deadline_claim.FIX),
        Reproducer("duplicate_callback_triggerers", removed_by=callback_trigger_owner.FIX),
        Reproducer("duplicate_callback_executors", removed_by=callback_claim.FIX),
    ),
    fixes=FIXES,
    also_fixes=(callback_claim.FIX,),
)
