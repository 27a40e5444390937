"""A trigger's event for a task that is no longer deferred. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.stale_trigger_event import FIXES, trigger_event_claim
from stress.races.race import Headline, Race, Reproducer
from stress.races.stale_trigger_event import checker
from stress.races.stale_trigger_event.scenario import SCENARIO

RACE = Race(
    name="stale_trigger_event",
    place=9,
    summary="A trigger's event was written over a newer state of its task: a mark, a timeout or a clearing.",
    issues=(72849,),
    found_by="the schedule search",
    scenario=SCENARIO,
    check=checker.check,
    causes=checker.CAUSES,
    unit="marks and time-outs",
    opportunity="a deferred task was marked, or resumed from a deferral with a time-out, as its trigger fired",
    headline=Headline(
        "stale_trigger_events",
        "Tasks whose mark or time-out was overwritten by their trigger's event",
        one_more="a trigger's event was written over its task's mark, or into its time-out",
    ),
    reproducers=(
        Reproducer("stale_trigger_event_marking", removed_by=trigger_event_claim.FIX),
        Reproducer("stale_trigger_event_timeout", removed_by=trigger_event_claim.FIX),
        Reproducer("stale_trigger_event_clearing", removed_by=trigger_event_claim.FIX),
    ),
    fixes=FIXES,
)
