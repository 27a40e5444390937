"""Fixes of the race ``lost_mark``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.lost_mark import marking_run_lock, run_marking_row_locks

FIXES = (
    marking_run_lock.FIX,
    run_marking_row_locks.FIX,
)
