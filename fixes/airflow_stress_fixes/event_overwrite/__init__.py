"""Fixes of the race ``event_overwrite``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.event_overwrite import event_callbacks_last

FIXES = (event_callbacks_last.FIX,)
