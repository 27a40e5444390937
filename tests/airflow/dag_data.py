"""Rows to race on: a DAG with a run, its task instances, its deadlines. Made by the explorer's fixtures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from airflow_stress_explore.airflow import fixtures
from airflow_stress_explore.airflow.fixtures import NOW, WORKER
from airflow_stress_explore.airflow.operation import Fixture

__all__ = ["NOW", "WORKER", "Run", "add_expired_deadlines", "live", "running_run", "task_instance_ids", "write_dag"]


@dataclass(frozen=True)
class Run:
    """Keys of a running dag run."""

    dag_id: str
    run_id: str
    id: int


def write_dag(dag_id: str, tasks: int, extra: str = "", schedule: str | None = None) -> Any:
    """Write a DAG as the DAG processor does, and read it; another ``extra`` makes another version."""
    return fixtures.write_dag(dag_id, extra, tasks=tasks, schedule=schedule, catchup=False)


def running_run(dag_id: str = "raced", tasks: int = 2, schedule: str | None = None) -> Run:
    """A running run of a new DAG, whose task instances are running."""
    import airflow

    fixture = Fixture(airflow.__version__, dag_id)
    hostname, pid = WORKER
    dag = write_dag(dag_id, tasks, schedule=schedule)
    fixtures.create_run(fixture, dag, "running", hostname=hostname, pid=pid)
    return Run(dag_id, fixture.run_id, fixture.dag_run)


def task_instance_ids(run: Run) -> list[Any]:
    """Ids of a run's task instances, by task."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        query = select(TaskInstance.id).where(TaskInstance.dag_id == run.dag_id).order_by(TaskInstance.task_id)
        return list(session.scalars(query))


def live() -> str:
    """A condition of SQL on the rows of task instances that are no archived attempt; 3.4 keeps these beside them."""
    from airflow.models.taskinstance import TaskInstance

    return "working_set" if hasattr(TaskInstance, "working_set") else "true"


def add_expired_deadlines(run: Run, count: int) -> None:
    """Deadlines that passed a minute ago and that no scheduler has handled."""
    for _ in range(count):
        fixtures.add_expired_deadline(run.id, "callbacks.on_miss")
