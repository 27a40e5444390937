"""Fix ``stuck_task_claim``: a task that has started is not swept as stuck in the queue (#49889; 3.1.0 to 3.4.0b2).

The defect
    ``_handle_tasks_stuck_in_queued`` selects the tasks that have been queued for too long without a lock, revokes each
    from its executor, and stores ``scheduled`` (or, after some tries, ``failed``) by the task's key alone. A worker
    that starts the task in between is answered 200, and its task is scheduled again under it: it is killed by its next
    heartbeat, or two workers run it. The executor was asked to revoke a task that runs.

The invariant
    What the sweep revokes and stores is a task that is, under its row lock, still queued as it was found. The lock
    lasts until that task's commit.

Why the obvious repair is wrong
    ``AND state = 'queued'`` in the UPDATE keeps the state, and comes after ``revoke_task``: KubernetesExecutor has
    deleted the pod by then. ``FOR UPDATE`` in the sweep's SELECT is lost with the first task, because the sweep
    commits after each one, and until then it holds all rows while it calls executors. A task that fails for good has a
    callback, and sending it commits the session (both use the thread's one), which releases the lock before ``failed``
    is stored.

How
    The sweep is run once for each task that it finds. Instead of its SELECT it gets that task, if its row can be
    locked at once (``FOR NO KEY UPDATE SKIP LOCKED``) and is as it was found. A row that is locked is left to the next
    sweep: its worker may be starting. Callbacks are sent after the task's commit.

What it leaves: a worker that starts while its task is revoked waits for the executor's answer, and gets 409. A
scheduler that ends between the commit and the callback loses the callback. An executor that cannot revoke
(``LocalExecutor``) sweeps nothing, as on stock.

Its tests: ``stress repro stuck_sweep`` (``tests/explore/test_reproducers.py``),
``tests/airflow/test_stuck_sweep_stuck_task_claim.py``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.jobs.scheduler_job_runner"


def if_still_queued(instance: Any, id_: Any, since: Any, job_id: Any, session: Any) -> list[Any]:
    """The task instance, locked, if it is queued since then by this scheduler and no other transaction has its row."""
    from airflow.utils.sqlalchemy import with_row_locks
    from sqlalchemy import select

    found = select(instance).where(
        instance.id == id_,
        instance.state == "queued",
        instance.queued_dttm == since,
        instance.queued_by_job_id == job_id,
    )
    found = with_row_locks(found, session=session, of=instance, skip_locked=True)
    return list(session.scalars(found.execution_options(populate_existing=True)).unique())


class Held:
    """Keeps the callbacks that executors send in the block, and sends them at its end, unless it ends with an error."""

    def __init__(self, executors: Sequence[Any]) -> None:
        self._executors = executors
        self._requests: list[tuple[Any, Any]] = []

    def __enter__(self) -> None:
        for executor in self._executors:
            executor.send_callback = functools.partial(self._keep, executor)

    def _keep(self, executor: Any, request: Any) -> None:
        self._requests.append((executor, request))

    def __exit__(self, error: object, *_: object) -> None:
        for executor in self._executors:
            del executor.send_callback
        # After an error the failure is not stored.
        for executor, request in self._requests if error is None else ():
            executor.send_callback(request)


def apply(module: ModuleType) -> None:
    """Wrap ``SchedulerJobRunner._handle_tasks_stuck_in_queued``."""
    from airflow.utils.session import create_session

    runner: Any = module.SchedulerJobRunner
    instance: Any = module.TI
    stock = runner._handle_tasks_stuck_in_queued

    @functools.wraps(stock)
    def handle_tasks_stuck_in_queued(self: Any, *args: Any, **kwargs: Any) -> None:
        with create_session() as session:
            stuck = sorted((ti.id, ti.queued_dttm) for ti in self._get_tis_stuck_in_queued(session))
        for id_, since in stuck:
            # The attribute hides the method from the one call below.
            self._get_tis_stuck_in_queued = functools.partial(if_still_queued, instance, id_, since, self.job.id)
            try:
                with Held(self.executors if hasattr(self, "executors") else self.job.executors):
                    stock(self, *args, **kwargs)
            finally:
                del self._get_tis_stuck_in_queued

    runner._handle_tasks_stuck_in_queued = handle_tasks_stuck_in_queued


FIX = Fix(
    thread=49889,
    place=22,
    summary="a task is swept from the queue only under its row lock, while it is still queued",
    components=("scheduler",),
    targets=(
        Target(_MODULE, "SchedulerJobRunner._handle_tasks_stuck_in_queued"),
        Target(_MODULE, "SchedulerJobRunner._get_tis_stuck_in_queued"),
        Target(_MODULE, "SchedulerJobRunner._maybe_requeue_stuck_ti"),
        Target(_MODULE, "SchedulerJobRunner._reschedule_stuck_task"),
        # Why a callback that is sent releases the locks: it commits the thread's session.
        Target("airflow.callbacks.database_callback_sink", "DatabaseCallbackSink.send"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
)
