"""What ends an attempt and begins the next one: a retry, and the end of a task that was cleared while it ran.

From 3.4 on the attempt that ended stays in its table, archived, and its successor is a new row. A task that is cleared
while it runs is `restarting` until one of three notices that its worker has stopped, and calls
`TaskInstance.complete_restart`: the worker itself, the scheduler whose executor saw the worker's exit
(`executor_events`), or the scheduler that misses its heartbeats.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from airflow_stress_explore.airflow.fixtures import NOW, WORKER, ingredient, running_run
from airflow_stress_explore.airflow.operation import Fixture, Response, find, operation, supply
from airflow_stress_explore.airflow.operations.execution_api import MODELS, update
from airflow_stress_explore.airflow.operations.scheduler import RUNNER, scheduler
from airflow_stress_explore.airflow.operations.several import place

_COMPLETES = ("airflow.models.taskinstance", "TaskInstance.complete_restart")
"""Attempts are archived where this is: from 3.4 on."""


@ingredient
def restarting_run(fixture: Fixture) -> None:
    """A running run whose two task instances run on a worker; the first was cleared, and its worker is to stop it."""
    _set_first(fixture, state="restarting")


@ingredient
def retrying_run(fixture: Fixture) -> None:
    """A running run whose two task instances run on a worker, and may be tried once more."""
    _set_first(fixture, max_tries=1)


@ingredient
def silent_worker(fixture: Fixture) -> None:
    """The worker's last heartbeat is an hour old. A scan finds the second task first."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update as set_columns

    with create_session() as session:
        session.execute(set_columns(TaskInstance).values(last_heartbeat_at=NOW - datetime.timedelta(hours=1)))
    place(fixture, ("task_1", "task_0"))


def _set_first(fixture: Fixture, **columns: Any) -> None:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    find(*_COMPLETES)
    running_run(fixture)
    with create_session() as session:
        instance = session.get(TaskInstance, fixture.instances[0])
        for name, value in columns.items():
            setattr(instance, name, value)


@operation("restart_end", "a worker reports that it has stopped its task, which was cleared")
def restart_end(fixture: Fixture, number: int) -> Callable[[], Response]:
    find(*_COMPLETES)
    hostname, pid = WORKER
    make_payload = find(MODELS, "TITerminalStatePayload")
    payload = make_payload(state="server_terminated", end_date=NOW, hostname=hostname, pid=pid)
    return update(fixture.instances[0], payload, ())


@operation("retry", "a worker reports that its task has failed and may be tried again", [("running", "up_for_retry")])
def retry(fixture: Fixture, number: int) -> Callable[[], Response]:
    find(*_COMPLETES)
    payload = find(MODELS, "TIRetryStatePayload")(state="up_for_retry", end_date=NOW)
    return update(fixture.instances[0], payload, ())


@operation(
    "heartbeat_purge",
    "a scheduler fails the tasks whose workers have sent no heartbeat for too long",
    [("running", "failed"), ("running", "up_for_retry")],
    periodic=True,
    row_by_row=True,
)
def heartbeat_purge(fixture: Fixture, number: int) -> Callable[[], Response]:
    """Each failure callback that it asks for is to be run once."""
    find(*_COMPLETES)
    find(RUNNER, "SchedulerJobRunner._find_and_purge_task_instances_without_heartbeats")

    def work() -> Response:
        runner = scheduler(fixture, 0)
        runner._task_instance_heartbeat_timeout_secs = 300
        asked: list[str] = []
        # Not the method: a fix that replaces it for a call removes what stands in its place.
        runner.executor.callback_sink = SimpleNamespace(
            send=lambda request: asked.append(f"failure callback {str(request.ti.id)[-12:]}")
        )
        supply(runner._find_and_purge_task_instances_without_heartbeats)
        return Response("done", owned=tuple(asked))

    return work
