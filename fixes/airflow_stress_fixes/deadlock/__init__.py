"""Fixes of the race ``deadlock``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.deadlock import proposed_ordered_version_refresh, state_update_lock_scope

FIXES = (
    state_update_lock_scope.FIX,
    proposed_ordered_version_refresh.FIX,
)
