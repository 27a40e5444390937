"""An executor's report that comes after the task has gone on. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.stale_success import FIXES, deferral_exit_filter
from stress.races.race import Race, Reproducer

RACE = Race(
    name="stale_success",
    place=20,
    summary="The exit of the worker that deferred a task failed the task after it had been resumed.",
    issues=(72716, 71580, 67287),
    found_by="a report, and the schedule search",
    reproducers=(Reproducer("stale_success", removed_by=deferral_exit_filter.FIX),),
    fixes=FIXES,
)
