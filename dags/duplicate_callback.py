"""A DAG whose queued runs all miss their deadlines at one moment, and whose callbacks leave receipts.

Only one of its runs can be active, and that one never ends by itself (its task is in a pool without slots): every
other run stays queued until its deadline has passed. Deadlines count from the logical date, which the load gives all
runs of a batch: so they pass together, as those of a nightly batch that is late do, and both schedulers find all of
them at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_stress_dags.duplicate_callback import alert
from airflow_stress_dags.operators import BusyOperator

try:
    from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference
except ImportError:  # before 3.2
    from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
DEADLINE = timedelta(seconds=5)
ALERTS = 16

with DAG(
    "deadline_queue",
    schedule=None,
    start_date=START,
    max_active_runs=1,
    tags=["stress"],
    deadline=[
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
            interval=DEADLINE,
            callback=AsyncCallback(alert, kwargs={"alert": number}),
        )
        for number in range(ALERTS)
    ],
):
    BusyOperator(task_id="never_runs", pool="no_slots")
