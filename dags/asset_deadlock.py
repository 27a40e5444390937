"""DAGs whose tasks have the same outlets and end together, and DAGs that wait for all of these assets.

The rows that reports write must not exist yet: so the consumers run, which deletes the rows, before the next reports.
Which order a process has for a set of assets is a matter of its hash seed: of eight, two processes agree on none.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset

from airflow_stress_dags.operators import TimedOperator

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
PERIOD_S = 3.0
ASSETS = 8

for producer in range(2):
    names = [f"{producer}/{number}" for number in range(ASSETS)]
    assets = [Asset(name=name, uri=f"stress://{name}") for name in names]
    with DAG(f"outlets_{producer}", schedule=None, start_date=START, max_active_runs=64, tags=["stress"]):
        TimedOperator(task_id="write", second=1.5 * producer, period_s=PERIOD_S, outlets=assets)
    for consumer in range(2):
        with DAG(
            f"outlets_{producer}_consumer_{consumer}",
            schedule=assets,
            start_date=START,
            max_active_runs=64,
            tags=["stress"],
        ):
            EmptyOperator(task_id="read")
