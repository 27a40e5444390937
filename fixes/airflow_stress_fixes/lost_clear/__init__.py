"""Fixes of the race ``lost_clear``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.lost_clear import clearing_row_locks

FIXES = (clearing_row_locks.FIX,)
