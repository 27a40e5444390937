"""Proposal ``proposed_deadline_row_lock``: the scheduler locks the deadlines it selects (#64710).

What the report proposes (#64710; pull request #64737 does it)
    The scheduler's SELECT of expired, unhandled deadlines takes row locks on the deadlines and skips those
    that are locked, so that the first scheduler keeps a row until it commits and any other one passes over
    it.

What it really does
    It removes the schedulers' cause: one trigger per missed deadline. It leaves the triggerers' cause: each
    trigger still runs in every live triggerer, so users still see each callback twice. The pull request says
    that the default lock is ``FOR KEY SHARE``, which wouldn't conflict with itself; in fact Airflow's
    default is ``FOR NO KEY UPDATE``, which does, so ``key_share=False`` is not what makes it work.

How
    The loop is one long method, so the statement is reached where it is executed: the sessions that the
    scheduler's module opens lock the rows of any SELECT of whole deadlines. It has only that one.

Its test: ``tests/airflow/test_duplicate_callback_deadline_claim.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from airflow_stress_fixes.duplicate_callback import deadline_claim
from airflow_stress_fixes.fix import Fix, Target


def lock_deadlines(session: Any, deadline: Any) -> None:
    """Make this session's ``scalars`` lock the rows of a SELECT of deadlines, and skip locked ones."""
    from airflow.utils.sqlalchemy import with_row_locks

    stock = session.scalars

    def scalars(statement: Any, *args: Any, **kwargs: Any) -> Any:
        descriptions = getattr(statement, "column_descriptions", ())
        if [description["expr"] for description in descriptions] == [deadline]:
            statement = with_row_locks(statement, session=session, of=deadline, skip_locked=True, key_share=False)
        return stock(statement, *args, **kwargs)

    session.scalars = scalars


def apply(module: ModuleType) -> None:
    """Wrap the ``create_session`` that the scheduler's module uses."""
    scheduler: Any = module
    stock, deadline = scheduler.create_session, scheduler.Deadline

    @contextlib.contextmanager
    def create_session(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with stock(*args, **kwargs) as session:
            if "scalars" in vars(session):
                yield session
                return
            lock_deadlines(session, deadline)
            try:
                yield session
            finally:
                del session.scalars

    scheduler.create_session = create_session


FIX = Fix(
    thread=64710,
    place=19,
    summary="as #64710 proposes: the scheduler selects expired deadlines with row locks, skip locked",
    components=("scheduler",),
    targets=(
        Target("airflow.jobs.scheduler_job_runner", "SchedulerJobRunner._run_scheduler_loop"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases=deadline_claim.FIX.releases,
    apply=apply,
    proposed=True,
)
