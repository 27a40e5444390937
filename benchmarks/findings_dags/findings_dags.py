"""DAGs for `benchmarks/findings_under_load.py`: small runs whose tasks end, or whose triggers fire, together.

A task's plan says at which second of a `PERIOD_S` it ends (`at`) or its trigger fires (`fires_at`), as the tasks of one
site do that all wait for the same warehouse or the same full hour; the worker adds a random part of `SPREAD_S`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, DeadlineAlert, DeadlineReference, SyncCallback
from findings_parts import Played, alert

DAG_OPTIONS: dict[str, Any] = {
    "schedule": None,
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "max_active_runs": 64,
}

with DAG("fail_fast_mixed", fail_fast=True, **DAG_OPTIONS):
    Played(task_id="fails", plan={"at": 3.0, "end": "failed"})
    Played(task_id="succeeds", plan={"at": 3.0})

with DAG("fail_fast_both", fail_fast=True, **DAG_OPTIONS):
    Played(task_id="fails", plan={"at": 3.3, "end": "failed"})
    Played(task_id="fails_too", plan={"at": 3.3, "end": "failed"})


def producer(dag_id: str, names: list[str], consumers: int, second: float) -> None:
    """A DAG of two tasks with the same outlets, and DAGs that wait for all of them."""
    assets = [Asset(name=name, uri=f"test://{name}") for name in names]
    outlets = [{"name": name, "uri": f"test://{name}/", "type": "Asset"} for name in names]
    with DAG(dag_id, **DAG_OPTIONS):
        for number in range(2):
            Played(task_id=f"task_{number}", outlets=assets, plan={"at": second, "outlets": outlets})
    for number in range(consumers):
        with DAG(f"{dag_id}_consumer_{number}", **{**DAG_OPTIONS, "schedule": assets}):
            EmptyOperator(task_id="read")


# Which order a process has for two assets is a matter of its hash seed: several pairs, so that no run is all luck.
for pair in range(4):
    producer(f"assets_{pair}", [f"x_{pair}", f"y_{pair}"], consumers=2, second=0.2 + pair / 10)
producer("one_asset", ["z"], consumers=4, second=0.7)

with DAG("marked", **DAG_OPTIONS):
    for number in range(5):
        Played(task_id=f"task_{number}", plan={"fires_at": 1.0})

with DAG("timed_out", **DAG_OPTIONS):
    for number in range(6):
        Played(task_id=f"task_{number}", plan={"fires_at": 2.0, "times_out": True})

with DAG("cleared", **DAG_OPTIONS):
    Played(task_id="first", plan={}) >> Played(task_id="last", plan={"at": 1.6})

with DAG(
    "late",
    deadline=[
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
            interval=timedelta(seconds=3),
            callback=SyncCallback(alert, kwargs={"number": number}),
        )
        for number in range(48)
    ],
    **DAG_OPTIONS,
):
    Played(task_id="slow", plan={"seconds": 8.0})

with DAG("idle", **{**DAG_OPTIONS, "max_active_tasks": 256}):
    for number in range(200):
        Played(task_id=f"task_{number}", plan={"idle": True})
