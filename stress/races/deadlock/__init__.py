"""Deadlocks: state updates against the refresh of DAG versions, and other cycles. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.deadlock import FIXES, state_update_lock_scope
from stress.checkers.deadlock_causes import CAUSES
from stress.races.deadlock import checker
from stress.races.deadlock.scenario import SCENARIO
from stress.races.race import Headline, Race, Reproducer

RACE = Race(
    name="deadlock",
    place=1,
    summary="PostgreSQL found a cycle of row locks and aborted one of the transactions (apache/airflow#66734).",
    issues=(66734,),
    found_by="the report",
    scenario=SCENARIO,
    check=checker.check,
    causes=CAUSES,
    unit="state updates",
    opportunity="a worker's state update was answered",
    headline=Headline(
        "deadlocks",
        "Deadlocks that PostgreSQL broke in the cluster's database",
        one_more=(
            "PostgreSQL broke one cycle of transactions in the cluster's database (its log, one entry a deadlock)"
        ),
    ),
    reproducers=(Reproducer("deadlock", removed_by=state_update_lock_scope.FIX),),
    fixes=FIXES,
)
