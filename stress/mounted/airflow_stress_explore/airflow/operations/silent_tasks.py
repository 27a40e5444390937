"""What a scheduler does about silent tasks: queued for too long, or without a heartbeat.

The fixtures put `queued_dttm` and `last_heartbeat_at` an hour back, so that the time limits have passed and no clock is
needed.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from airflow_stress_explore.airflow.callbacks import on_failure
from airflow_stress_explore.airflow.fixtures import NOW, WORKER, create_run, ingredient, two_schedulers, write_dag
from airflow_stress_explore.airflow.operation import Fixture, Response, find, operation, supply
from airflow_stress_explore.airflow.operations.scheduler import RUNNER, event_key, scheduler

_LONG_AGO = NOW - datetime.timedelta(hours=1)


@ingredient
def stuck_run(fixture: Fixture) -> None:
    """A running run whose two task instances have been queued for an hour, the second one by a scheduler of no pair."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    create_run(fixture, write_dag(fixture.dag_id), "queued", queued_dttm=_LONG_AGO, try_number=1)
    two_schedulers(fixture)
    with create_session() as session:
        session.get(TaskInstance, fixture.instances[1]).queued_by_job_id = None


@ingredient
def silent_run(fixture: Fixture) -> None:
    """A running run whose two task instances run on a worker; the first one had its last heartbeat an hour ago.

    The tasks have a failure callback.
    """
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    hostname, pid = WORKER
    options: dict[str, Any] = {"hostname": hostname, "pid": pid, "unixname": "worker", "try_number": 1}
    options["last_heartbeat_at"] = NOW + datetime.timedelta(hours=1)  # a task that never falls silent
    dag = write_dag(fixture.dag_id, task_options={"on_failure_callback": on_failure})
    create_run(fixture, dag, "running", **options)
    two_schedulers(fixture)
    with create_session() as session:
        session.get(TaskInstance, fixture.instances[0]).last_heartbeat_at = _LONG_AGO


def _scheduler(fixture: Fixture) -> Any:
    """The scheduler that queued the tasks: the sweeps of others do not look at them."""
    runner = scheduler(fixture, 0)
    runner._num_stuck_queued_retries = 2
    runner._task_instance_heartbeat_timeout_secs = 300
    runner.executor.revoke_task = lambda **_: None
    runner.executor.callback_sink = find("airflow.callbacks.database_callback_sink", "DatabaseCallbackSink")()
    return runner


@operation(
    "stuck_queued_sweep",
    "a scheduler schedules tasks again that have been queued for too long",
    [("queued", "scheduled"), ("queued", "failed")],
    periodic=True,
    row_by_row=True,
)
def stuck_queued_sweep(fixture: Fixture, number: int) -> Callable[[], Response]:
    """As the loop's timer calls it."""
    find(RUNNER, "SchedulerJobRunner._handle_tasks_stuck_in_queued")

    def work() -> Response:
        supply(_scheduler(fixture)._handle_tasks_stuck_in_queued)
        return Response("done")

    return work


@operation(
    "heartbeat_timeout",
    "a scheduler fails tasks without a heartbeat, and then handles its executor's events",
    # The purge selects restarting tasks, too; such a task may always be retried (TaskInstance.is_eligible_to_retry).
    [("running", "failed"), ("running", "up_for_retry"), ("restarting", "up_for_retry")],
    periodic=True,
)
def heartbeat_timeout(fixture: Fixture, number: int) -> Callable[[], Response]:
    """Two parts of the loop: its timer calls the purge, and the loop's next round handles the events that it left."""
    create_session = find("airflow.utils.session", "create_session")
    find(RUNNER, "SchedulerJobRunner._find_and_purge_task_instances_without_heartbeats")
    find(RUNNER, "SchedulerJobRunner._process_executor_events")

    def work() -> Response:
        runner = _scheduler(fixture)
        runner._find_and_purge_task_instances_without_heartbeats()
        # The thread's session, as the loop has it.
        with create_session() as session:
            runner._process_executor_events(executor=runner.executor, session=session)
        return Response("done")

    return work


@operation(
    "executor_failure",
    "a scheduler processes its executor's report that a worker has failed",
    [("running", "failed"), ("running", "up_for_retry")],
)
def executor_failure(fixture: Fixture, number: int) -> Callable[[], Response]:
    """The first task's. Its worker was ended from outside, a pod's eviction for example."""
    create_session = find("airflow.utils.session", "create_session")
    find(RUNNER, "SchedulerJobRunner._process_executor_events")
    key = event_key(fixture)

    def work() -> Response:
        runner = _scheduler(fixture)
        runner.executor.event_buffer[key] = ("failed", None)
        # The thread's session, as the loop has it.
        with create_session() as session:
            runner._process_executor_events(executor=runner.executor, session=session)
        return Response("done")

    return work
