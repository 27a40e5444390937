"""Deadlocks between reports of success with the same outlets. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.asset_deadlock import FIXES, asset_event_order
from stress.races.race import Race, Reproducer

RACE = Race(
    name="asset_deadlock",
    place=7,
    summary="Two reports of success wrote rows of the same assets in different orders, and PostgreSQL aborted one.",
    found_by="the schedule search",
    reproducers=(Reproducer("asset_deadlock", removed_by=asset_event_order.FIX),),
    fixes=FIXES,
)
