"""A scheduler that releases its row locks before it stores a failure. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.event_overwrite import FIXES, event_callbacks_last
from stress.races.race import Race, Reproducer

RACE = Race(
    name="event_overwrite",
    place=21,
    summary="A failure that an executor had reported was stored over a success that had been answered 204.",
    found_by="the schedule search",
    reproducers=(Reproducer("event_overwrite", removed_by=event_callbacks_last.FIX),),
    fixes=FIXES,
)
