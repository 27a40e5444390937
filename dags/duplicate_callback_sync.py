"""A DAG whose queued runs all miss their deadlines at one moment, with synchronous callbacks: executors run them.

As `duplicate_callback.py`, whose docstring says how. Before 3.3 a callback that waits for a place is not given to any
executor, and there is nothing to see: there the DAG has no deadlines.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from importlib.metadata import version

from airflow.sdk import DAG

from airflow_stress_dags.duplicate_callback import sync_alert
from airflow_stress_dags.operators import BusyOperator

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
DEADLINE = timedelta(seconds=5)
ALERTS = 16

deadlines = []
if tuple(map(int, version("apache-airflow-core").split(".")[:2])) >= (3, 3):
    from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback

    deadlines = [
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
            interval=DEADLINE,
            callback=SyncCallback(sync_alert, kwargs={"alert": number}),
        )
        for number in range(ALERTS)
    ]

with DAG(
    "deadline_queue_sync",
    schedule=None,
    start_date=START,
    max_active_runs=1,
    tags=["stress"],
    deadline=deadlines or None,
):
    BusyOperator(task_id="never_runs", pool="no_slots")
