"""A purge that fails tasks whose report it does not see. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.heartbeat_alarm import FIXES, silent_task_claim
from stress.races.race import Race, Reproducer

RACE = Race(
    name="heartbeat_alarm",
    place=18,
    summary="A task that had succeeded failed for want of heartbeats, or its failure callback ran, or ran twice.",
    issues=(42553, 68008),
    found_by="a report, and the schedule search",
    reproducers=(
        Reproducer("heartbeat_alarm_success", removed_by=silent_task_claim.FIX),
        Reproducer("heartbeat_alarm_twice", removed_by=silent_task_claim.FIX),
        Reproducer("heartbeat_alarm_overwrite", removed_by=silent_task_claim.FIX),
    ),
    fixes=FIXES,
)
