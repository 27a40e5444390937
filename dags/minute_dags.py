"""DAGs on a schedule of one minute: a chain and a fan-out, the everyday load under which the races must show."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import DAG

from airflow_stress_dags.operators import BusyOperator

START = datetime(2026, 1, 1, tzinfo=timezone.utc)

with DAG("minute_chain", schedule="* * * * *", start_date=START, catchup=False, max_active_runs=4, tags=["stress"]):
    previous = None
    for step in range(5):
        task = BusyOperator(task_id=f"step_{step}", seconds=0.2)
        if previous is not None:
            previous >> task
        previous = task

with DAG("minute_fanout", schedule="* * * * *", start_date=START, catchup=False, max_active_runs=4, tags=["stress"]):
    first = BusyOperator(task_id="split", seconds=0.1)
    last = BusyOperator(task_id="join", seconds=0.1)
    for part in range(6):
        first >> BusyOperator(task_id=f"part_{part}", seconds=0.3) >> last
