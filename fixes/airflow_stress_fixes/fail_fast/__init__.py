"""Fixes of the race ``fail_fast``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.fail_fast import fail_fast_lock_order

FIXES = (fail_fast_lock_order.FIX,)
