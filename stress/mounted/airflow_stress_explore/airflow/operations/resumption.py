"""A deferred task is resumed before its scheduler processes the exit of the worker that deferred it.

The worker exits well after it has deferred its task, and the executor reports that. A trigger may fire, the task may be
queued and start again before the scheduler takes the report from the executor's buffer.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_stress_explore.airflow.operation import Fixture, Response, find, operation
from airflow_stress_explore.airflow.operations.execution_api import enter_running
from airflow_stress_explore.airflow.operations.scheduler import RUNNER, executor_events, scheduler
from airflow_stress_explore.airflow.operations.triggerer import trigger_event


@operation("deferral_exit", "a scheduler processes the good exit of the worker that deferred a task")
def deferral_exit(fixture: Fixture, number: int) -> Callable[[], Response]:
    """As `executor_events`; it may change no task instance."""
    return executor_events(fixture, number)


@operation(
    "resumption",
    "a deferred task's trigger fires, a scheduler queues the task, a worker starts it",
    [("deferred", "scheduled"), ("scheduled", "queued"), ("queued", "running")],
)
def resumption(fixture: Fixture, number: int) -> Callable[[], Response]:
    """Three processes, one after the other: each begins when the one before has committed."""
    create_session = find("airflow.utils.session", "create_session")
    find(RUNNER, "SchedulerJobRunner._critical_section_enqueue_task_instances")
    name = find("airflow.executors.executor_utils", "ExecutorName")("idle.IdleExecutor", "Idle")
    fire, start = trigger_event(fixture, number), enter_running(fixture, number)

    def work() -> Response:
        fire()
        # The same scheduler that processes the exit: another one would be the task's scheduler from then on.
        runner = scheduler(fixture, 0)
        runner.executor.name = name
        runner.executor.queue_workload = lambda *_, **__: None
        with create_session(scoped=False) as session:
            runner._critical_section_enqueue_task_instances(session=session)
        return start()

    return work
