"""Fixes of the race ``stale_trigger_event``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.stale_trigger_event import trigger_event_claim

FIXES = (trigger_event_claim.FIX,)
