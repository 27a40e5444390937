"""A DAG whose runs end together at one second of the clock's period; their first task has succeeded before."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import DAG

from airflow_stress_dags.operators import BusyOperator, TimedOperator

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
PERIOD_S = 4.0
ENDS_AT_S = 3.0

with DAG("cleared", schedule=None, start_date=START, max_active_runs=64, tags=["stress"]):
    BusyOperator(task_id="first", seconds=0.0) >> TimedOperator(task_id="last", second=ENDS_AT_S, period_s=PERIOD_S)
