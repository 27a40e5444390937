"""What schedulers do about missed deadlines."""

from __future__ import annotations

from collections.abc import Callable

from airflow_stress_explore.operations.scheduler import RUNNER, scheduler
from airflow_stress_explore.world import Told, World, find, operation, supply


@operation("deadline_check", "a scheduler handles the deadlines that have passed", comes_again=True)
def deadline_check(world: World, number: int) -> Callable[[], Told]:
    """The check stands in the middle of the loop's own function: that one is run, with the loop's other parts empty."""
    loop = find(RUNNER, "SchedulerJobRunner._run_scheduler_loop")

    def work() -> Told:
        runner = scheduler(world, number)
        runner.executors = runner.job.executors = []
        for name in ("adopt_or_reset_orphaned_tasks", "_process_executor_events", "_process_task_event_logs"):
            setattr(runner, name, lambda *_, **__: 0)
        runner._do_scheduling = lambda _session: 0
        runner._is_tracing_enabled = lambda: False
        runner._is_metrics_enabled = lambda: False
        loop(runner)
        return Told("done")

    return work


@operation("callback_enqueue", "a scheduler gives the callbacks that wait for an executor to its own", comes_again=True)
def callback_enqueue(world: World, number: int) -> Callable[[], Told]:
    create_session = find("airflow.utils.session", "create_session")
    find(RUNNER, "SchedulerJobRunner._enqueue_executor_callbacks")

    def work() -> Told:
        runner = scheduler(world, number)
        queued: list[str] = []
        runner.executor.queue_workload = lambda workload, **_: queued.append(str(workload.callback.id))
        with create_session(scoped=False) as session:
            supply(runner._enqueue_executor_callbacks, session=session)
        return Told(f"{len(queued)} callbacks", owned=tuple(f"callback {id_[-12:]}" for id_ in queued))

    return work
