"""Fixes of the race ``archived_attempt``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.archived_attempt import purge_row_locks, run_lock_strength

FIXES = (run_lock_strength.FIX, purge_row_locks.FIX)
