"""A sweep of the queue that takes tasks that have started. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.stuck_sweep import FIXES, stuck_task_claim
from stress.races.race import Race, Reproducer

RACE = Race(
    name="stuck_sweep",
    place=17,
    summary="A task that had just started was taken back to scheduled as stuck in the queue.",
    issues=(49889,),
    found_by="a report, and the schedule search",
    reproducers=(Reproducer("stuck_sweep", removed_by=stuck_task_claim.FIX),),
    fixes=FIXES,
)
