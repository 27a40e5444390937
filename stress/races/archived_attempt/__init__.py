"""The end of an attempt that 3.4 archives, beside a clear, a mark or another end of it. README.md is the finding."""

from __future__ import annotations

from airflow_stress_fixes.archived_attempt import (
    FIXES,
    clear_runs_order,
    purge_row_locks,
    run_lock_strength,
)
from stress.races.race import Race, Reproducer

RACE = Race(
    name="archived_attempt",
    place=15,
    summary="The end of an attempt deadlocks with a clear or a mark, or overwrites a success answered as stored.",
    found_by="the schedule search",
    reproducers=(
        Reproducer("archived_attempt_deadlock", removed_by=run_lock_strength.FIX),
        Reproducer("archived_attempt_overwrite", removed_by=purge_row_locks.FIX),
        Reproducer("archived_attempt_purge", removed_by=purge_row_locks.FIX),
        Reproducer("archived_attempt_runs", removed_by=clear_runs_order.FIX),
    ),
    fixes=FIXES,
)
