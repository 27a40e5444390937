"""What schedulers do about missed deadlines, and about the callbacks that wait for an executor.

Both stand in the middle of the loop's own function, in one transaction: the deadlines that have passed, locked or not,
then the callbacks that wait. The whole function is run, with the loop's other parts empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_stress_explore.airflow.operation import Fixture, Response, find, operation
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
