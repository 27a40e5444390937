"""Fixes of the race ``stuck_sweep``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.stuck_sweep import stuck_task_claim

FIXES = (stuck_task_claim.FIX,)
