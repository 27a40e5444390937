"""Fixes of the race ``asset_deadlock``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.asset_deadlock import asset_event_order

FIXES = (asset_event_order.FIX,)
