"""Fixes of the race ``archived_attempt``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.archived_attempt import (
    clear_runs_order,
    clearing_successors,
    marking_successor,
    purge_row_locks,
    refreshed_successors,
    run_lock_strength,
)

FIXES = (
    run_lock_strength.FIX,
    purge_row_locks.FIX,
    clear_runs_order.FIX,
    marking_successor.FIX,
    refreshed_successors.FIX,
    clearing_successors.FIX,
)
