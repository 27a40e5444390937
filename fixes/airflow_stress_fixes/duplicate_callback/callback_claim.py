"""Fix ``callback_claim``: one scheduler gives a waiting synchronous callback to its executor (3.3.0 to 3.4.0b2).

The defect
    A missed deadline's synchronous callback goes to an executor. The scheduler that finds the deadline missed
    hands the callback on in the same transaction, so that others never see it wait; but if its slots are all
    taken, which is when deadlines are missed, the callback is committed as pending. From then on each
    scheduler's loop selects the pending callbacks without a lock, puts them into its executor's queue, and
    commits them as queued. Two schedulers that select before either commits both run the callback.

The invariant
    A scheduler queues a callback only in a transaction that holds the row's lock and has seen it pending under
    that lock. The lock lasts until the commit that publishes it as queued. No process waits (``SKIP LOCKED``), and
    a callback whose scheduler rolls back is free again.

Why the obvious repair is wrong
    Updating the state with a condition after the callback was put into the queue comes too late: the executor's
    queue is in memory, and knows no rollback. The claim has to come first. A transaction that is rolled back after
    that leaves the callback in this queue and free for other schedulers at once, with the claim, too. It does not run
    twice only because nothing catches the error between this function and the scheduler's end: its executor's queue
    ends with it, before the next heartbeat of the executor starts what is in it.

On 3.4
    A worker must exchange a token before it runs the callback, and only the first one can. By the source, the executor
    of the second one reports a failure, which its scheduler stores in any state of the callback.

How
    ``_enqueue_executor_callbacks`` gets a session that adds the row lock to its SELECT of callbacks. The
    condition and the ``LIMIT`` stay in the SELECT: rows that others have taken don't use it up, and one that
    was taken between the snapshot and the lock is looked at again by the server, and left out.

What it leaves: a scheduler that dies between its commit and its executor's start of the callback loses it. In 3.2
a callback that waits is not given to an executor: its data don't have the run that they are looked up by.

Its tests: ``stress repro duplicate_callback_executors`` (``tests/explore/test_reproducers.py``),
``tests/airflow/test_duplicate_callback_callback_claim.py``.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.jobs.scheduler_job_runner"


class _Claiming:
    """A session for one call, which locks the callbacks that it selects, and passes over those that are locked."""

    def __init__(self, session: Any, callback: Any) -> None:
        self._session = session
        self._callback = callback

    def scalars(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        from airflow.utils.sqlalchemy import with_row_locks

        if statement.column_descriptions[0]["entity"] is self._callback:
            statement = with_row_locks(statement, session=self._session, of=self._callback, skip_locked=True)
        return self._session.scalars(statement, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def apply(module: ModuleType) -> None:
    """Wrap ``SchedulerJobRunner._enqueue_executor_callbacks``."""
    runner: Any = module.SchedulerJobRunner
    stock = runner._enqueue_executor_callbacks
    callback: Any = module.ExecutorCallback

    @functools.wraps(stock)
    def enqueue(self: Any, session: Any) -> Any:
        return stock(self, _Claiming(session, callback))

    runner._enqueue_executor_callbacks = enqueue


FIX = Fix(
    place=13,
    summary="a scheduler takes a waiting callback for its executor only after it has locked the row",
    components=("scheduler",),
    targets=(
        Target(_MODULE, "SchedulerJobRunner._enqueue_executor_callbacks"),
        Target(_MODULE, "SchedulerJobRunner._run_scheduler_loop"),
        # Why the callbacks of 3.2 wait without end, and so do not run twice.
        Target("airflow.models.deadline", "Deadline.handle_miss"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases={**spread("3.1.0..3.2.2", Fit.NOT_NEEDED), **spread("3.3.0..3.4.0b2", Fit.APPLIES)},
    apply=apply,
)
