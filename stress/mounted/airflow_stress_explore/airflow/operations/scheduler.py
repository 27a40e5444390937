"""What a scheduler does in its loop, each piece with the session and the transaction that the loop gives it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from airflow_stress_explore.airflow.operation import Fixture, Response, find, operation, supply

RUNNER = "airflow.jobs.scheduler_job_runner"


def scheduler(fixture: Fixture, number: int = 0) -> Any:
    """A scheduler without its process: an executor that is given nothing and keeps nothing, and no heartbeat."""
    runner: Any = object.__new__(find(RUNNER, "SchedulerJobRunner"))
    executor = idle_executor()
    dag_run_class = find("airflow.models.dagrun", "DagRun")
    if hasattr(dag_run_class, "set_active_spans"):  # until 3.1
        # Kept by the class: what one schedule leaves there would change the next one's statements, and two schedulers
        # of one process would share it. Without, nothing is traced.
        dag_run_class.set_active_spans(None)
    # Has just had its heartbeat, so that the loop gives it none, even if an actor lets hours pass.
    heard = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    job = SimpleNamespace(
        id=fixture.jobs.get(f"scheduler-{number}", 0),
        job_type="SchedulerJob",
        heartrate=600.0,
        max_tis_per_query=512,
        latest_heartbeat=heard,
        executor=executor,
        executors=[executor],
    )
    # What its __init__ and _execute would set; releases differ in what they have of it.
    vars(runner).update(
        scheduler_dag_bag=find("airflow.models.dagbag", "DBDagBag")(),
        executor=executor,
        executors=[executor],
        job=job,
        num_runs=1,
        only_idle=False,
        heartbeat_callback=lambda *_: None,
        _scheduler_idle_sleep_time=0,
        _parallelism=32,
        _multi_team=False,
        _dag_id_to_team_name={},
        _log=None,
        _task_queued_timeout=600.0,
        _scheduler_use_job_schedule=True,
        _dag_tags_in_metrics=False,
    )
    return runner


def _lock_running_runs(session: Any) -> list[Any]:
    """The runs that the loop examines next, locked; without the tags of their DAGs, which only metrics would show."""
    examine = find("airflow.models.dagrun", "DagRun.get_running_dag_runs_to_examine")
    return list(supply(examine, session=session, eagerly_load_dag_tags=False))


def idle_executor() -> Any:
    """One that accepts everything and runs nothing; it has nothing to take over from a dead scheduler either."""
    base = find("airflow.executors.base_executor", "BaseExecutor")
    executor = base(parallelism=32)
    executor.name = SimpleNamespace(alias="Idle", module_path="Idle", team_name=None, connector_prefix="")
    return executor


@operation(
    "dag_version_refresh", "a scheduler gives a run's unfinished task instances the DAG's new version", periodic=True
)
def dag_version_refresh(fixture: Fixture, number: int) -> Callable[[], Response]:
    """The loop locks the runs that it will examine (`FOR UPDATE SKIP LOCKED`), and so do we."""
    create_session = find("airflow.utils.session", "create_session")
    find(RUNNER, "SchedulerJobRunner._verify_integrity_if_dag_changed")

    def work() -> Response:
        runner = scheduler(fixture, number)
        with create_session(scoped=False) as session:
            locked = _lock_running_runs(session)
            for run in locked:
                runner._verify_integrity_if_dag_changed(run, session=session)
        return Response(f"{len(locked)} runs")

    return work


_SCHEDULES = [
    *(("none", state) for state in ("scheduled", "skipped", "success", "removed", "upstream_failed")),
    *((state, after) for state in ("up_for_retry", "up_for_reschedule") for after in ("scheduled", "success")),
]


@operation(
    "run_scheduling",
    "a scheduler examines the running runs: tasks that may go, runs that end",
    _SCHEDULES,
    periodic=True,
)
def run_scheduling(fixture: Fixture, number: int) -> Callable[[], Response]:
    """The middle of `_do_scheduling`: one transaction, whose commit is where its guard has it."""
    create_session = find("airflow.utils.session", "create_session")
    prohibit_commit = find("airflow.utils.sqlalchemy", "prohibit_commit")
    find(RUNNER, "SchedulerJobRunner._schedule_all_dag_runs")

    def work() -> Response:
        runner = scheduler(fixture, number)
        with create_session(scoped=False) as session, prohibit_commit(session) as guard:
            locked = _lock_running_runs(session)
            supply(runner._schedule_all_dag_runs, guard=guard, dag_runs=locked, session=session)
        return Response(f"{len(locked)} runs")

    return work


@operation(
    "timeout_sweep",
    "a scheduler wakes deferred tasks whose trigger took too long",
    [("deferred", "scheduled")],
    periodic=True,
    row_by_row=True,
)
def timeout_sweep(fixture: Fixture, number: int) -> Callable[[], Response]:
    find(RUNNER, "SchedulerJobRunner.check_trigger_timeouts")

    def work() -> Response:
        supply(scheduler(fixture, number).check_trigger_timeouts)
        return Response("done")

    return work


@operation("unreferenced_trigger_cleanup", "a scheduler removes triggers that nothing refers to", periodic=True)
def unreferenced_trigger_cleanup(fixture: Fixture, number: int) -> Callable[[], Response]:
    find(RUNNER, "SchedulerJobRunner._remove_unreferenced_triggers")

    def work() -> Response:
        supply(scheduler(fixture, number)._remove_unreferenced_triggers)
        return Response("done")

    return work


@operation(
    "orphan_adoption",
    "a scheduler takes over, or resets, the tasks of a scheduler that died",
    [("queued", "none"), ("scheduled", "none"), ("running", "none"), ("restarting", "none")],
    periodic=True,
)
def orphan_adoption(fixture: Fixture, number: int) -> Callable[[], Response]:
    find(RUNNER, "SchedulerJobRunner.adopt_or_reset_orphaned_tasks")

    def work() -> Response:
        supply(scheduler(fixture, number).adopt_or_reset_orphaned_tasks)
        return Response("done")

    return work


@operation(
    "executor_events",
    "a scheduler hears from its executor that a worker has exited well",
    [(before, after) for before in ("queued", "running", "scheduled") for after in ("failed", "up_for_retry")],
    periodic=True,
)
def executor_events(fixture: Fixture, number: int) -> Callable[[], Response]:
    """The first task's, of its first try. Later rounds have the events that the first one has left in the buffer."""
    create_session = find("airflow.utils.session", "create_session")
    process = find(RUNNER, "SchedulerJobRunner.process_executor_events")
    key = event_key(fixture)

    def work() -> Response:
        runner = scheduler(fixture, 0)
        runner.executor.event_buffer = fixture.kept.setdefault(f"events of {number}", {key: ("success", None)})
        try:
            with create_session(scoped=False) as session:
                supply(
                    process,
                    executor=runner.executor,
                    job_id=runner.job.id,
                    scheduler_dag_bag=runner.scheduler_dag_bag,
                    session=session,
                )
        finally:
            fixture.kept[f"events of {number}"] = runner.executor.event_buffer
        return Response("done")

    return work


def event_key(fixture: Fixture, task: int = 0) -> Any:
    """How an executor names the try of a task: from 3.4 on by the row's id, which another try does not have."""
    if hasattr(find("airflow.executors.base_executor", "BaseExecutor"), "supports_task_instance_uuid"):
        return find("airflow.executors.workloads.types", "TaskInstanceUuid")(fixture.instances[task])
    key = find("airflow.models.taskinstancekey", "TaskInstanceKey")
    return key(fixture.dag_id, f"task_{task}", fixture.run_id, 1, -1)
