"""A DAG whose queued runs miss their deadline, and whose callback leaves a receipt.

Only one of its runs can be active, and that one never ends by itself (its task is in a pool without slots): every other
run stays queued until its deadline has passed.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_stress_dags.callbacks import alert
from airflow_stress_dags.operators import BusyOperator

try:
    from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference
except ImportError:  # before 3.2
    from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
DEADLINE = timedelta(seconds=4)
ALERTS = 10

with DAG(
    "deadline_queue",
    schedule=None,
    start_date=START,
    max_active_runs=1,
    tags=["stress"],
    deadline=[
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=DEADLINE,
            callback=AsyncCallback(alert, kwargs={"alert": number}),
        )
        for number in range(ALERTS)
    ],
):
    BusyOperator(task_id="never_runs", pool="no_slots")
