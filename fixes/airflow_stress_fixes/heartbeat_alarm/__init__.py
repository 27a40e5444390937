"""Fixes of the race ``heartbeat_alarm``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.heartbeat_alarm import silent_task_claim

FIXES = (silent_task_claim.FIX,)
