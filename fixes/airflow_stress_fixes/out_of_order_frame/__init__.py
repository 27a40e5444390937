"""Fixes of the race ``out_of_order_frame``: ours first, then those that reports propose."""

from __future__ import annotations

from airflow_stress_fixes.out_of_order_frame import proposed_thread_lock, triggerer_comms

FIXES = (
    triggerer_comms.FIX,
    proposed_thread_lock.FIX,
)
