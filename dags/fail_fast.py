"""DAGs with fail_fast whose two tasks end together: a failure and a success, and two failures."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import DAG

from airflow_stress_dags.operators import TimedOperator

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
PERIOD_S = 2.0

with DAG("fail_fast_mixed", schedule=None, start_date=START, fail_fast=True, max_active_runs=64, tags=["stress"]):
    TimedOperator(task_id="fails", second=0.5, period_s=PERIOD_S, fails=True)
    TimedOperator(task_id="succeeds", second=0.5, period_s=PERIOD_S)

with DAG("fail_fast_both", schedule=None, start_date=START, fail_fast=True, max_active_runs=64, tags=["stress"]):
    TimedOperator(task_id="fails", second=1.5, period_s=PERIOD_S, fails=True)
    TimedOperator(task_id="fails_too", second=1.5, period_s=PERIOD_S, fails=True)
