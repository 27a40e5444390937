"""A DAG whose tasks end together at one second of the clock's period, and have others behind them."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import DAG

from airflow_stress_dags.operators import BusyOperator, TimedOperator

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
PERIOD_S = 4.0
ENDS_AT_S = 3.0

with DAG("marked_runs", schedule=None, start_date=START, max_active_runs=64, tags=["stress"]):
    for number in range(6):
        first = TimedOperator(task_id=f"task_{number}", second=ENDS_AT_S, period_s=PERIOD_S)
        first >> BusyOperator(task_id=f"next_{number}", seconds=0.0)
