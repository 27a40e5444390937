"""Fix ``deferral_exit_filter``: a deferral's exit fails no resumed task (#72716, #71580, #67287; 3.1.0 to 3.4.0b2).

The defect
    The worker that defers a task exits well, and its executor reports a success. The report lies in the executor's
    buffer until the scheduler's loop takes it. If the trigger has fired by then, and the task is queued or runs again
    by the same scheduler, ``process_executor_events`` takes the report for that of the resumed worker: it has exited,
    the task is not finished, so it was killed. The task fails, or is tried again, while its worker runs it. Until
    3.2.1 a task that is only scheduled again fails, too; from 3.3 on not, and from 3.4 on neither does one that is
    queued.

The invariant
    An executor's success changes no task instance that is deferred or was resumed after a deferral and has not
    finished.

Why the obvious repair is wrong
    Nothing distinguishes a report from that of the resumed worker: the try, and from 3.4 on the task instance's id,
    are the same. A list of states in which it is ignored, as upstream has it, was too short each time, because the
    task goes on while the report waits. Ignoring it in each state of each task would hide workers that exit well and
    report nothing.

How
    Before the events are processed, successes of task instances that are deferred, or are unfinished with a method to
    resume with, are taken from the executor's buffer. ``next_method`` is set when the task defers, and cleared by the
    report of its end. The deferral was stored before the worker exited, so that this read cannot come too early, and
    stock does nothing with such a report but log it, unless it fails the task.

What it leaves: a resumed worker that exits well and reports nothing is found by its missing heartbeats, minutes later.
A sensor in reschedule mode that is started again before its exit is processed has no such mark, and fails as on stock.

Its tests: ``stress repro stale_success`` (``tests/explore/test_reproducers.py``),
``tests/airflow/test_stale_success_deferral_exit_filter.py``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.jobs.scheduler_job_runner"


def of_deferrals(instance: Any, events: dict[Any, Any], session: Any) -> Iterator[Any]:
    """The keys of those events that are a success of a task instance that is deferred or has been resumed."""
    from sqlalchemy import and_, or_, select

    unfinished = instance.state.in_(["scheduled", "queued", "running"])
    resumed = or_(instance.state == "deferred", and_(unfinished, instance.next_method.is_not(None)))
    successes = [key for key, (state, _) in events.items() if state == "success"]
    by_id = {key.id: key for key in successes if type(key).__name__ == "TaskInstanceUuid"}  # since 3.4
    if by_id:
        ids = session.scalars(select(instance.id).where(instance.id.in_(by_id), resumed))
        yield from [by_id[id_] for id_ in ids]
    by_key = [key for key in successes if type(key).__name__ == "TaskInstanceKey"]
    if by_key and not hasattr(instance, "region_id"):
        columns = (instance.dag_id, instance.task_id, instance.run_id, instance.try_number, instance.map_index)
        rows = session.execute(select(*columns).where(instance.filter_for_tis(by_key), resumed))
        found = {tuple(row) for row in rows}
        yield from [key for key in by_key if tuple(key) in found]


def apply(module: ModuleType) -> None:
    """Wrap ``SchedulerJobRunner.process_executor_events``."""
    runner: Any = module.SchedulerJobRunner
    instance: Any = module.TI
    stock = vars(runner)["process_executor_events"].__func__
    signature = inspect.signature(stock)
    if not {"executor", "session"} <= signature.parameters.keys():
        raise TypeError(f"process_executor_events{signature} has no executor or no session")

    @functools.wraps(stock)
    def process_executor_events(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        events = given["executor"].event_buffer
        for key in of_deferrals(instance, events, given["session"]):
            del events[key]
        return stock(*args, **kwargs)

    runner.process_executor_events = classmethod(process_executor_events)


FIX = Fix(
    thread=72716,
    place=25,
    summary="a scheduler ignores an executor's success of a task that is deferred or has been resumed",
    components=("scheduler",),
    targets=(
        Target(_MODULE, "SchedulerJobRunner.process_executor_events"),
        Target(_MODULE, "SchedulerJobRunner._process_executor_events"),
        Target("airflow.executors.base_executor", "BaseExecutor.get_event_buffer"),
        Target("airflow.executors.base_executor", "BaseExecutor.change_state"),
        # Sets next_method, and clears it.
        Target(
            "airflow.api_fastapi.execution_api.routes.task_instances", "_create_ti_state_update_query_and_update_state"
        ),
        Target("airflow.models.trigger", "handle_event_submit"),
    ),
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
)
