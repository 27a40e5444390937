"""Fixes of the race ``false_failed``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.false_failed import transient_error_answer

FIXES = (transient_error_answer.FIX,)
