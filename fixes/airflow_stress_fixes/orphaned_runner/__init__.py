"""Fixes of the race ``orphaned_runner``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.orphaned_runner import comms_end

FIXES = (comms_end.FIX,)
