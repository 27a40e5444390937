"""Fixes of the race ``early_completion``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.early_completion import backfill_in_one_commit

FIXES = (backfill_in_one_commit.FIX,)
