"""Fix ``silent_task_claim``: a task without heartbeats fails in one transaction (#42553, #68008; 3.1.0 to 3.4.0b2).

The defect
    To 3.3.2 the scheduler's purge selects running tasks whose last heartbeat is too old, without a lock, sends the
    failure callback of each, and leaves a failure in its executor's buffer. The task instance stays running until the
    loop handles that event. A worker that reports success before that is answered 204: the task is green, and its
    failure callback runs. And for a task that has a failure callback the event's handling sends it once more, so that
    each time-out runs it twice, without any race.
    3.4 locks the rows, looks at them again and stores the failure at once. But it sends the callback before that,
    which is stored by the same session (the thread's one), whose commit releases the locks: a success that a worker
    reports in that moment is answered 204, and the failure is stored over it.

The invariant
    A task instance fails by the purge only if it is, under its row lock, still as silent as it was found. The failure
    is stored in the transaction that holds this lock, and one callback is sent for it.

Why the obvious repair is wrong
    A lock in the purge's SELECT, and a second look at the state, are what 3.4 has. And a purge that stores the failure
    itself has to repeat what the handling of executor events knows of retries, e-mails and ``fail_fast``.

How
    To 3.3.2 the purge is run for one task at a time. Its row is locked (``FOR NO KEY UPDATE SKIP LOCKED``) if the last
    heartbeat is the one that was found. Stock's purge and then stock's handling of the one event that it left work
    within this transaction; callbacks and e-mails are held back meanwhile. Of two callbacks of one task the later one
    is sent, which knows whether the task is tried again. On 3.4 stock's purge is called for one task at a time, and its
    callbacks and e-mails are held back to the end of that call. In both they are sent just after the failure is stored.

What it leaves: a scheduler that ends between a failure's commit and its callback loses the callback. A task whose row
is locked in that moment is left to the next purge. A heartbeat or a report that comes while the row is locked waits for
a few milliseconds, and is refused.

Its tests: ``stress repro heartbeat_alarm`` (``tests/explore/test_reproducers.py``),
``tests/airflow/test_heartbeat_alarm_silent_task_claim.py``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.jobs.scheduler_job_runner"


def still_silent(instance: Any, id_: Any, heartbeat: Any, session: Any) -> list[Any]:
    """The task instance, locked, if it runs without a later heartbeat and no other transaction has its row."""
    from airflow.utils.sqlalchemy import with_row_locks
    from sqlalchemy import select

    found = select(instance).where(
        instance.id == id_, instance.state.in_(["running", "restarting"]), instance.last_heartbeat_at == heartbeat
    )
    found = with_row_locks(found, session=session, of=instance, skip_locked=True)
    return list(session.scalars(found.execution_options(populate_existing=True)).unique())


def fail(runner: Any, silent: list[Any], session: Any) -> None:
    """Purge these task instances, handle the executor events that this leaves, and then send callbacks and e-mails."""
    executors = runner.executors if hasattr(runner, "executors") else runner.job.executors
    buffers = [executor.event_buffer for executor in executors]
    requests: list[tuple[Any, Any]] = []
    for executor in executors:
        executor.event_buffer = {}
        executor.send_callback = lambda request, executor=executor: requests.append((executor, request))
    try:
        runner._purge_task_instances_without_heartbeats(silent, session=session)
        by_purge = list(requests)
        requests.clear()
        for executor in executors:
            if executor.event_buffer:
                runner._process_executor_events(executor, session)
    finally:
        for executor, kept in zip(executors, buffers, strict=True):
            executor.event_buffer = {**kept, **executor.event_buffer}
            del executor.send_callback
    asked = {request.ti.id for _, request in requests if type(request).__name__ == "TaskCallbackRequest"}
    for executor, request in (*((one, its) for one, its in by_purge if its.ti.id not in asked), *requests):
        executor.send_callback(request)


def send_last(runner: Any, purge: Callable[..., None], silent: list[Any], session: Any) -> None:
    """Purge these task instances, and then send callbacks and e-mails."""
    executor = runner.executor
    requests: list[Any] = []
    executor.send_callback = requests.append
    try:
        purge(runner, silent, session=session)
    finally:
        del executor.send_callback
    session.flush()
    for request in requests:
        executor.send_callback(request)


def apply(module: ModuleType) -> None:
    """Wrap the scheduler's purge: to 3.3 the whole, from 3.4 on its second half."""
    from airflow.utils.session import create_session

    runner: Any = module.SchedulerJobRunner
    instance: Any = module.TI
    stock = runner._find_and_purge_task_instances_without_heartbeats
    stock_purge = runner._purge_task_instances_without_heartbeats

    @functools.wraps(stock)
    def find_and_purge(self: Any) -> None:
        with create_session() as session:
            found = self._find_task_instances_without_heartbeats(session=session)
            silent = sorted((ti.id, ti.last_heartbeat_at) for ti in found)
        for id_, heartbeat in silent:
            with create_session() as session:
                locked = still_silent(instance, id_, heartbeat, session)
                if locked:
                    fail(self, locked, session)

    @functools.wraps(stock_purge)
    def purge(self: Any, task_instances_without_heartbeats: list[Any], *, session: Any) -> None:
        # An error of one task must not take the callbacks of failures that are stored by then.
        for silent in task_instances_without_heartbeats:
            send_last(self, stock_purge, [silent], session)

    if hasattr(instance, "archive"):  # since 3.4, which locks the rows that it finds
        runner._purge_task_instances_without_heartbeats = purge
    else:
        runner._find_and_purge_task_instances_without_heartbeats = find_and_purge


FIX = Fix(
    thread=42553,
    place=23,
    summary="a task without heartbeats fails under its row lock, in one transaction, with one callback",
    components=("scheduler",),
    targets=(
        Target(_MODULE, "SchedulerJobRunner._find_and_purge_task_instances_without_heartbeats"),
        Target(_MODULE, "SchedulerJobRunner._find_task_instances_without_heartbeats"),
        Target(_MODULE, "SchedulerJobRunner._purge_task_instances_without_heartbeats"),
        Target(_MODULE, "SchedulerJobRunner._process_executor_events"),
        Target(_MODULE, "SchedulerJobRunner.process_executor_events"),
        # Why a callback that is sent releases the locks: it commits the thread's session.
        Target("airflow.callbacks.database_callback_sink", "DatabaseCallbackSink.send"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
)
