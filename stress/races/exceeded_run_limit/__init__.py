"""Two schedulers that start more runs than may run. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.exceeded_run_limit import FIXES, run_start_turn
from stress.races.race import Race, Reproducer

RACE = Race(
    name="exceeded_run_limit",
    place=16,
    summary="More runs of a DAG run at a time than `max_active_runs` allows.",
    issues=(45388, 56646),
    found_by="a report, and the schedule search",
    reproducers=(Reproducer("exceeded_run_limit", removed_by=run_start_turn.FIX),),
    fixes=FIXES,
)
