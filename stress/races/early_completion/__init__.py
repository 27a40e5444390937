"""A backfill that is completed before its runs exist. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.early_completion import FIXES, backfill_in_one_commit
from stress.races.race import Race, Reproducer

RACE = Race(
    name="early_completion",
    place=19,
    summary="A backfill was complete while its runs were still being created.",
    issues=(68721, 64534),
    found_by="a report, and the schedule search",
    reproducers=(Reproducer("early_completion", removed_by=backfill_in_one_commit.FIX),),
    fixes=FIXES,
)
