"""What schedulers do about missed deadlines, and about the callbacks that wait for an executor.

Both stand in the middle of the loop's own function, in one transaction: the deadlines that have passed, locked or not,
then the callbacks that wait. The whole function is run, with the loop's other parts empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from airflow_stress_explore.airflow.fixtures import executor_callback, ingredient
from airflow_stress_explore.airflow.operation import Fixture, Response, find, operation, supply
from airflow_stress_explore.airflow.operations.api_server import call, request
from airflow_stress_explore.airflow.operations.scheduler import RUNNER, scheduler

_OTHERS = ("adopt_or_reset_orphaned_tasks", "_process_executor_events", "_process_task_event_logs", "_do_scheduling")
"""The loop's other parts."""


def _one_round(runner: Any, executors: Sequence[Any]) -> None:
    """Let a scheduler go through its loop once."""
    runner.executors = runner.job.executors = list(executors)
    for name in _OTHERS:
        setattr(runner, name, lambda *_, **__: 0)
    runner._is_tracing_enabled = lambda: False
    runner._is_metrics_enabled = lambda: False
    runner._run_scheduler_loop()


@operation("deadline_check", "a scheduler handles the deadlines that have passed", periodic=True)
def deadline_check(fixture: Fixture, number: int) -> Callable[[], Response]:
    find(RUNNER, "SchedulerJobRunner._run_scheduler_loop")

    def work() -> Response:
        _one_round(scheduler(fixture, number), ())
        return Response("done")

    return work


@operation("callback_enqueue", "a scheduler gives the callbacks that wait for an executor to its own", periodic=True)
def callback_enqueue(fixture: Fixture, number: int) -> Callable[[], Response]:
    """Such a callback waits if the scheduler that found its deadline missed had no free slot for it."""
    find(RUNNER, "SchedulerJobRunner._run_scheduler_loop")
    find(RUNNER, "SchedulerJobRunner._enqueue_executor_callbacks")

    def work() -> Response:
        runner = scheduler(fixture, number)
        queued: list[str] = []
        runner.executor.queue_workload = lambda workload, **_: queued.append(str(workload.callback.id))
        runner.executor.heartbeat = lambda: None
        _one_round(runner, (runner.executor,))
        return Response(f"{len(queued)} callbacks", owned=tuple(f"callback {id_[-12:]}" for id_ in queued))

    return work


_START = ("airflow.api_fastapi.execution_api.routes.callbacks", "run_callback")
"""A worker's first request, which its token allows once: from 3.4 on."""


@ingredient
def queued_callback(fixture: Fixture) -> None:
    """A callback of a missed deadline that a scheduler has given to its executor."""
    from airflow.models.callback import Callback
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    executor_callback(fixture)
    with create_session() as session:
        session.execute(update(Callback).values(state="queued"))
        fixture.facts["callback"] = session.scalars(select(Callback.id)).one()


def _start(callback: Any) -> Callable[[], Response]:
    """What a worker asks before it runs a callback. It gets another token, which needs no row."""
    route = find(*_START)
    services = SimpleNamespace(get=lambda _: SimpleNamespace(generate=lambda **_: "token"))

    def work(session: Any) -> Any:
        return call(route, session, callback_id=callback, response=SimpleNamespace(headers={}), services=services)

    return lambda: request(work)


@operation("callback_start", "a worker exchanges the token of its callback, to run it")
def callback_start(fixture: Fixture, number: int) -> Callable[[], Response]:
    start = _start(fixture.facts["callback"])

    def work() -> Response:
        started = start()
        ran = (f"callback {str(fixture.facts['callback'])[-12:]}",) if started.answer == "204" else ()
        return Response(started.answer, owned=ran)

    return work


@operation("callback_round", "a scheduler gives waiting callbacks to its executor, and stores how they ended")
def callback_round(fixture: Fixture, number: int) -> Callable[[], Response]:
    """With the worker's part between: its callback succeeds, or is not run, if the worker gets no token."""
    find(*_START)
    process = find(RUNNER, "SchedulerJobRunner.process_executor_events")
    make_key = find("airflow.models.callback", "CallbackKey")
    create_session = find("airflow.utils.session", "create_session")

    def work() -> Response:
        runner = scheduler(fixture, number)
        queued: list[Any] = []
        runner.executor.queue_workload = lambda workload, **_: queued.append(workload.callback.id)
        runner.executor.heartbeat = lambda: None
        _one_round(runner, (runner.executor,))
        ran = []
        for callback in queued:
            started = _start(callback)().answer == "204"
            ran += [callback] if started else []
            runner.executor.event_buffer[make_key(str(callback))] = ("success" if started else "failed", None)
        with create_session(scoped=False) as session:
            supply(
                process,
                executor=runner.executor,
                job_id=runner.job.id,
                scheduler_dag_bag=runner.scheduler_dag_bag,
                session=session,
            )
        claims = tuple((str(callback), "success") for callback in ran)
        return Response(f"{len(queued)} callbacks", claims=claims)

    return work
