"""A trigger's event for a task that is no longer deferred. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.stale_trigger_event import FIXES, trigger_event_claim
from stress.races.race import Race, Reproducer

RACE = Race(
    name="stale_trigger_event",
    place=9,
    summary="A trigger's event was written over a newer state of its task: a mark, a timeout or a clearing.",
    issues=(72849,),
    found_by="the schedule search",
    reproducers=(
        Reproducer("stale_trigger_event_marking", removed_by=trigger_event_claim.FIX),
        Reproducer("stale_trigger_event_timeout", removed_by=trigger_event_claim.FIX),
        Reproducer("stale_trigger_event_clearing", removed_by=trigger_event_claim.FIX),
    ),
    fixes=FIXES,
)
