"""A trigger runner that outlives its supervisor. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.orphaned_runner import FIXES, comms_end
from stress.races.race import Race, Reproducer

RACE = Race(
    name="orphaned_runner",
    place=12,
    summary="A triggerer's runner waits forever for its supervisor, which is gone.",
    found_by="the schedule search",
    reproducers=(
        Reproducer("orphaned_runner_loop", removed_by=comms_end.FIX),
        Reproducer("orphaned_runner_trigger", removed_by=comms_end.FIX),
    ),
    fixes=FIXES,
)
