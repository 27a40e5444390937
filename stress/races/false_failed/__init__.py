"""A success that is answered as stored, and stored as failed. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.false_failed import FIXES, transient_error_answer
from stress.races.race import Race, Reproducer

RACE = Race(
    name="false_failed",
    place=6,
    summary="A task that reported success, and got the answer that this is stored, is stored as failed.",
    found_by="the schedule search",
    reproducers=(Reproducer("false_failed", removed_by=transient_error_answer.FIX),),
    fixes=FIXES,
)
