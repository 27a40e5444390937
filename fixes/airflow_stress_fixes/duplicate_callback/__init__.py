"""Fixes of the race ``duplicate_callback``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.duplicate_callback import (
    callback_claim,
    callback_trigger_owner,
    deadline_claim,
    proposed_deadline_row_lock,
)

FIXES = (
    deadline_claim.FIX,
    callback_trigger_owner.FIX,
    callback_claim.FIX,
    proposed_deadline_row_lock.FIX,
)
