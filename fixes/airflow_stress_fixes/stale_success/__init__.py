"""Fixes of the race ``stale_success``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.stale_success import deferral_exit_filter

FIXES = (deferral_exit_filter.FIX,)
