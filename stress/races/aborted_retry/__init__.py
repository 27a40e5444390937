"""Retries in a transaction that is aborted. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.aborted_retry import FIXES, sweep_row_claims
from stress.races.race import Race, Reproducer

RACE = Race(
    name="aborted_retry",
    place=14,
    summary=(
        "A sweep of triggers was retried in a transaction that PostgreSQL had aborted, so that every retry failed."
    ),
    found_by="a test in tests/airflow",
    reproducers=(
        Reproducer("sweep_deadlock", removed_by=sweep_row_claims.FIX),
        Reproducer("sweep_deadlock_marking", removed_by=sweep_row_claims.FIX),
    ),
    fixes=FIXES,
)
