"""The states to begin with, made by Airflow's own code: a pair names its ingredients, in their order."""

from __future__ import annotations

import datetime
import inspect
import itertools
from collections.abc import Callable
from typing import Any

from airflow_stress_explore.airflow.operation import Fixture, UnknownInternals

BUNDLE = "explored"
WORKER = ("worker.test", 4711)
"""Host and process id of the worker that running task instances run on."""

NOW = datetime.datetime.now(datetime.timezone.utc)
TASKS = 2

INGREDIENTS: dict[str, Callable[[Fixture], None]] = {}


def ingredient(make: Callable[[Fixture], None]) -> Callable[[Fixture], None]:
    """Register an ingredient under its function's name."""
    INGREDIENTS[make.__name__] = make
    return make


def build(names: tuple[str, ...], release: str) -> Fixture:
    """A state of these ingredients."""
    fixture = Fixture(release)
    for name in names:
        try:
            INGREDIENTS[name](fixture)
        except UnknownInternals as unknown:
            raise UnknownInternals(f"(the state {name}): {unknown}") from unknown
        except (ImportError, AttributeError, TypeError) as error:
            raise UnknownInternals(f"(the state {name}): {type(error).__name__}: {error}") from error
    return fixture


def write_dag(dag_id: str, extra: str = "", **options: Any) -> Any:
    """Write a DAG as the DAG processor does, and read it; another `extra` makes another version."""
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

    task_options = options.pop("task_options", {})
    tasks = options.pop("tasks", TASKS)
    names = options.pop("names", None) or [f"task_{number}" for number in range(tasks)]
    chained = options.pop("chained", False)
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
    with DAG(dag_id, **{"schedule": None, "start_date": start, "doc_md": extra, **options}) as dag:
        made = [EmptyOperator(task_id=name, **task_options) for name in names]
        if chained:
            for one, following in itertools.pairwise(made):
                one >> following
    dag.relative_fileloc = f"{dag_id}.py"  # as in a bundle
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        if session.get(DagBundleModel, BUNDLE) is None:
            session.add(DagBundleModel(name=BUNDLE))
            session.flush()
        SerializedDAG.bulk_write_to_db(BUNDLE, None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name=BUNDLE, session=session)
        session.flush()
        return DBDagBag().get_latest_version_of_dag(dag_id, session=session)


def create_run(fixture: Fixture, dag: Any, state: str | None, **columns: Any) -> None:
    from airflow.models.dag import DagModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import select

    with create_session() as session:
        session.get(DagModel, fixture.dag_id).is_paused = False
        run = dag.create_dagrun(
            run_id=fixture.run_id,
            run_after=NOW,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            session=session,
        )
        session.flush()
        found = select(TaskInstance).where(TaskInstance.dag_id == fixture.dag_id).order_by(TaskInstance.task_id)
        instances = list(session.scalars(found))
        for instance in instances:
            instance.state = state
            instance.start_date = None if state is None else NOW
            for name, value in columns.items():
                setattr(instance, name, value)
        session.flush()
        fixture.dag_run = run.id
        fixture.instances = [instance.id for instance in instances]


@ingredient
def running_run(fixture: Fixture) -> None:
    """A running run whose two task instances run on a worker."""
    hostname, pid = WORKER
    create_run(
        fixture, write_dag(fixture.dag_id), "running", hostname=hostname, pid=pid, unixname="worker", try_number=1
    )


@ingredient
def queued_run(fixture: Fixture) -> None:
    """A running run whose two task instances are queued."""
    create_run(fixture, write_dag(fixture.dag_id), "queued", queued_dttm=NOW, try_number=1)


@ingredient
def fresh_run(fixture: Fixture) -> None:
    """A running run whose two task instances have no state yet."""
    create_run(fixture, write_dag(fixture.dag_id), None)


@ingredient
def finished_run(fixture: Fixture) -> None:
    """A run, not closed yet, whose two task instances have succeeded."""
    create_run(fixture, write_dag(fixture.dag_id), "success", end_date=NOW, try_number=1)


@ingredient
def fail_fast_run(fixture: Fixture) -> None:
    """As `running_run`, of a DAG that fails as a whole when one task fails."""
    hostname, pid = WORKER
    dag = write_dag(fixture.dag_id, fail_fast=True)
    create_run(fixture, dag, "running", hostname=hostname, pid=pid, unixname="worker", try_number=1)


@ingredient
def half_failed_run(fixture: Fixture) -> None:
    """A running run of two tasks, one behind the other: the first has no state yet, the second has failed."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    create_run(fixture, write_dag(fixture.dag_id, chained=True), None)
    with create_session() as session:
        session.get(TaskInstance, fixture.instances[1]).state = "failed"


@ingredient
def new_version(fixture: Fixture) -> None:
    """A newer version of the DAG than the one that the task instances are of."""
    write_dag(fixture.dag_id, extra="version 2")


@ingredient
def expired_deadline(fixture: Fixture) -> None:
    """A deadline of the run that passed a minute ago, with an asynchronous callback, that no scheduler has handled."""
    add_expired_deadline(fixture.dag_run, "airflow_stress_explore.airflow.callbacks.on_miss")
    fixture.facts["deadlines"] = 1


def add_expired_deadline(dag_run: int, callback: str) -> None:
    """A deadline of a run that passed a minute ago. `callback`: the path of an asynchronous function."""
    from airflow.models.deadline import Deadline
    from airflow.utils.session import create_session

    try:
        from airflow.sdk import AsyncCallback
    except ImportError:  # until 3.1
        from airflow.sdk.definitions.deadline import AsyncCallback

    options = {"deadline_alert_id": None} if "deadline_alert_id" in inspect.signature(Deadline).parameters else {}
    with create_session() as session:
        session.add(
            Deadline(
                deadline_time=NOW - datetime.timedelta(minutes=1),
                callback=AsyncCallback(callback),
                dagrun_id=dag_run,
                **options,
            )
        )


@ingredient
def callback_trigger(fixture: Fixture) -> None:
    """A trigger that runs a missed deadline's callback, which no triggerer has taken yet."""
    from airflow.models.deadline import Deadline
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from sqlalchemy import select

    expired_deadline(fixture)
    with create_session() as session:
        for deadline in session.scalars(select(Deadline)):
            deadline.handle_miss(session)
        session.flush()
        fixture.triggers = list(session.scalars(select(Trigger.id).order_by(Trigger.id)))


@ingredient
def executor_callback(fixture: Fixture) -> None:
    """A callback of a missed deadline that waits for a scheduler to give it to its executor."""
    from airflow.models.deadline import Deadline
    from airflow.utils.session import create_session
    from sqlalchemy import select

    try:
        from airflow.sdk import SyncCallback
    except ImportError as error:  # until 3.1
        raise UnknownInternals("there are no synchronous callbacks") from error

    with create_session() as session:
        session.add(
            Deadline(
                deadline_time=NOW - datetime.timedelta(minutes=1),
                callback=SyncCallback("airflow_stress_explore.airflow.callbacks.on_miss"),
                dagrun_id=fixture.dag_run,
                deadline_alert_id=None,
            )
        )
    with create_session() as session:
        for deadline in session.scalars(select(Deadline)):
            deadline.handle_miss(session)


@ingredient
def deferred_run(fixture: Fixture) -> None:
    """A running run whose first task instance is deferred to a trigger that is due, and the other one runs."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    running_run(fixture)
    with create_session() as session:
        trigger = Trigger(classpath="airflow_stress_explore.airflow.callbacks.Trigger", kwargs={})
        session.add(trigger)
        session.flush()
        instance = session.get(TaskInstance, fixture.instances[0])
        instance.state = "deferred"
        instance.trigger_id = trigger.id
        instance.trigger_timeout = NOW - datetime.timedelta(minutes=1)
        instance.next_method = "execute_complete"
        instance.next_kwargs = {}
        fixture.triggers = [trigger.id]


@ingredient
def later_timeout(fixture: Fixture) -> None:
    """The trigger of the deferred task takes too long in an hour, and not before."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        session.get(TaskInstance, fixture.instances[0]).trigger_timeout = NOW + datetime.timedelta(hours=1)


@ingredient
def trigger_owner(fixture: Fixture) -> None:
    """A triggerer that is alive and owns the triggers."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from sqlalchemy import update

    fixture.jobs["owner"] = _job("TriggererJob")
    with create_session() as session:
        session.execute(update(Trigger).values(triggerer_id=fixture.jobs["owner"]))


@ingredient
def unused_trigger(fixture: Fixture) -> None:
    """A trigger that nothing refers to."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    with create_session() as session:
        trigger = Trigger(classpath="airflow_stress_explore.airflow.callbacks.Trigger", kwargs={"unused": True})
        session.add(trigger)
        session.flush()
        fixture.triggers.append(trigger.id)


@ingredient
def two_schedulers(fixture: Fixture) -> None:
    """Two schedulers that are alive; all task instances were queued by the first one."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    for name in ("scheduler-0", "scheduler-1"):
        fixture.jobs[name] = _job("SchedulerJob", state="running")
    with create_session() as session:
        session.execute(update(TaskInstance).values(queued_by_job_id=fixture.jobs["scheduler-0"]))


@ingredient
def dead_scheduler(fixture: Fixture) -> None:
    """All task instances were queued by a scheduler that is dead, which is not noted yet."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    dead = _job("SchedulerJob", NOW - datetime.timedelta(hours=1), state="running")
    with create_session() as session:
        session.execute(update(TaskInstance).values(queued_by_job_id=dead))


@ingredient
def asset_consumers(fixture: Fixture) -> None:
    """Two assets, x and y, and two DAGs that both wait for both."""
    from airflow.models.dag import DagModel
    from airflow.providers.standard.operators.empty import EmptyOperator  # noqa: F401 - part of a DAG's writing
    from airflow.sdk import Asset
    from airflow.utils.session import create_session

    assets = [Asset(name=name, uri=f"test://{name}") for name in ("x", "y")]
    write_dag("producer", tasks=1, task_options={"outlets": assets})
    for name in ("consumer_1", "consumer_2"):
        write_dag(name, tasks=1, schedule=assets)
    with create_session() as session:
        for name in ("consumer_1", "consumer_2"):
            session.get(DagModel, name).is_paused = False


@ingredient
def partition_consumer(fixture: Fixture) -> None:
    """Two assets, x and y, a DAG that waits for the partitions of both, and runs that report to one partition."""
    from airflow.models.asset import AssetActive
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.sdk import Asset
    from airflow.utils.session import create_session
    from sqlalchemy import update

    try:
        from airflow.sdk import PartitionedAssetTimetable
    except ImportError as error:  # until 3.1
        raise UnknownInternals("there are no partitions") from error

    assets = [Asset(name=name, uri=f"test://{name}/") for name in ("x", "y")]
    write_dag("consumer", tasks=1, schedule=PartitionedAssetTimetable(assets=assets[0] & assets[1]))
    with create_session() as session:
        session.get(DagModel, "consumer").is_paused = False
        session.execute(update(DagRun).values(partition_key="day"))
        for asset in assets:
            if session.get(AssetActive, (asset.name, asset.uri)) is None:
                session.add(AssetActive(name=asset.name, uri=asset.uri))


@ingredient
def contended_assets(fixture: Fixture) -> None:
    """Two assets, x and y, whose reports write a common row: plain ones, or partitioned ones where only those do."""
    from airflow.models.asset import AssetDagRunQueue

    # From 3.4 on the queue's rows are keyed by the event, so that two reports of plain assets share none.
    make = partition_consumer if hasattr(AssetDagRunQueue, "asset_event_id") else asset_consumers
    make(fixture)


@ingredient
def two_triggerers(fixture: Fixture) -> None:
    """Two triggerers that are alive."""
    for name in ("triggerer-0", "triggerer-1"):
        fixture.jobs[name] = _job("TriggererJob")


def _job(kind: str, last_heartbeat: datetime.datetime | None = None, **columns: Any) -> int:
    from airflow.jobs.job import Job
    from airflow.utils.session import create_session

    with create_session() as session:
        job = Job(job_type=kind)
        # In ten minutes: no actor times out by itself.
        job.latest_heartbeat = last_heartbeat or NOW + datetime.timedelta(minutes=10)
        for name, value in columns.items():
            setattr(job, name, value)
        session.add(job)
        session.flush()
        return int(job.id)
