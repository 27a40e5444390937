"""Rows to race on, made by Airflow's own code: a DAG with a run, its task instances, its deadlines."""

from __future__ import annotations

import datetime
import inspect
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

BUNDLE = "test"
WORKER = ("worker.test", 4711)
"""Host and process id of the worker that all task instances run on."""

NOW = datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class Run:
    """Keys of a running dag run."""

    dag_id: str
    run_id: str
    id: int


def write_dag(dag_id: str, tasks: int, extra: str = "", schedule: str | None = None) -> Any:
    """Write a DAG as the DAG processor does, and read it; another ``extra`` makes another version."""
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    try:
        from airflow.serialization.definitions.dag import SerializedDAG
    except ImportError:  # until 3.1
        from airflow.serialization.serialized_objects import SerializedDAG

    begin = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    with DAG(dag_id, schedule=schedule, start_date=begin, catchup=False, doc_md=extra) as dag:
        for number in range(tasks):
            EmptyOperator(task_id=f"task_{number}")
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        if session.get(DagBundleModel, BUNDLE) is None:
            session.add(DagBundleModel(name=BUNDLE))
            session.flush()
        SerializedDAG.bulk_write_to_db(BUNDLE, None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name=BUNDLE, session=session)
        session.flush()
        if DagVersion.get_latest_version(dag_id, session=session) is None:
            raise AssertionError("the DAG has no version")
        return DBDagBag().get_latest_version_of_dag(dag_id, session=session)


def running_run(dag_id: str = "raced", tasks: int = 2, schedule: str | None = None) -> Run:
    """A running run of a new DAG, whose task instances are running."""
    from airflow.models.dag import DagModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    dag = write_dag(dag_id, tasks, schedule=schedule)
    with create_session() as session:
        session.get(DagModel, dag_id).is_paused = False
        run = dag.create_dagrun(
            run_id="run",
            run_after=NOW,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            session=session,
        )
        session.flush()
        for instance in session.scalars(select(TaskInstance).where(TaskInstance.dag_id == dag_id)):
            instance.state = TaskInstanceState.RUNNING
            instance.start_date = NOW
            instance.hostname, instance.pid = WORKER
        return Run(dag_id, run.run_id, run.id)


def task_instance_ids(run: Run) -> list[Any]:
    """Ids of a run's task instances, by task."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        query = select(TaskInstance.id).where(TaskInstance.dag_id == run.dag_id).order_by(TaskInstance.task_id)
        return list(session.scalars(query))


def add_expired_deadlines(run: Run, count: int) -> None:
    """Deadlines that passed a minute ago and that nobody has handled."""
    from airflow.models.deadline import Deadline
    from airflow.utils.session import create_session

    try:
        from airflow.sdk import AsyncCallback
    except ImportError:  # until 3.1
        from airflow.sdk.definitions.deadline import AsyncCallback

    options = {"deadline_alert_id": None} if "deadline_alert_id" in inspect.signature(Deadline).parameters else {}
    with create_session() as session:
        for _ in range(count):
            session.add(
                Deadline(
                    deadline_time=NOW - datetime.timedelta(minutes=1),
                    callback=AsyncCallback("callbacks.on_miss"),
                    dagrun_id=run.id,
                    **options,
                )
            )
