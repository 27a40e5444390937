"""Fixes of the race ``aborted_retry``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.aborted_retry import sweep_row_claims

FIXES = (sweep_row_claims.FIX,)
