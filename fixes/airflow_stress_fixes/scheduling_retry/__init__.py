"""Fixes of the race ``scheduling_retry``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.scheduling_retry import scheduling_retry_locks

FIXES = (scheduling_retry_locks.FIX,)
