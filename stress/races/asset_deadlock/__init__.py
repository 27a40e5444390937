"""Deadlocks between reports of success with the same outlets. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.asset_deadlock import FIXES, asset_event_order
from stress.races.asset_deadlock import checker
from stress.races.asset_deadlock.scenario import SCENARIO
from stress.races.race import Headline, Race, Reproducer

RACE = Race(
    name="asset_deadlock",
    place=7,
    summary="Two reports of success wrote rows of the same assets in different orders, and PostgreSQL aborted one.",
    found_by="the schedule search",
    scenario=SCENARIO,
    check=checker.check,
    causes=checker.CAUSES,
    unit="reports made together",
    opportunity="a worker reported success within 0.1 s of another one with the same outlets",
    headline=Headline(
        "asset_deadlocks",
        "Deadlocks between reports of success with the same outlets",
        one_more="PostgreSQL broke one cycle of reports in the queue of asset events (its log)",
    ),
    reproducers=(Reproducer("asset_deadlock", removed_by=asset_event_order.FIX),),
    fixes=FIXES,
)
