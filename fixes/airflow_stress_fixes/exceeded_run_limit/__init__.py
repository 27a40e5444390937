"""Fixes of the race ``exceeded_run_limit``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.exceeded_run_limit import run_start_turn

FIXES = (run_start_turn.FIX,)
