"""Proposal ``proposed_ordered_version_refresh``: task instances locked in order of ids (#66734).

What the report proposes (#66734; pull request #66762)
    The deadlock is seen as two writers that lock the same task instances in different orders. So the
    scheduler, where it gives a run's unfinished task instances the new DAG version, replaces the one bulk
    UPDATE with batches: select ids ``ORDER BY id LIMIT n FOR UPDATE SKIP LOCKED``, update those ids, until a
    batch is empty. Its author found that the SELECT must leave out rows that have the new version already,
    or the loop never ends: the UPDATE doesn't change the state it selects by.

What it really does
    It breaks the cycle, by ``SKIP LOCKED`` and not by the order: the scheduler no longer waits for a task
    instance. The rows that it skipped stay on the old version. The run then counts as refreshed, because
    *some* task instance has the new version, so no later refresh updates them.

How
    For the time of one ``_verify_integrity_if_dag_changed`` the session's ``execute`` replaces that one
    UPDATE. The batch size isn't in the report's words; 500 here.

Its test: ``tests/airflow/test_deadlock_proposed_ordered_version_refresh.py``.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

BATCH = 500
"""Rows locked and updated at a time."""


def is_version_refresh(statement: Any, table: Any) -> bool:
    """Whether a statement is the bulk UPDATE of ``dag_version_id``, and nothing else, on task instances."""
    from sqlalchemy.sql.dml import Update

    # By name: SQLAlchemy annotates copies of the table and its columns when an UPDATE is made from a class.
    return (
        isinstance(statement, Update)
        and getattr(statement.table, "name", None) == table.name
        and [column.name for column in (getattr(statement, "_values", None) or ())] == ["dag_version_id"]
    )


def refresh_in_batches(execute: Any, statement: Any, table: Any) -> None:
    """Do what the bulk UPDATE does, in batches of locked rows in order of their ids."""
    from sqlalchemy import or_, select, update

    version = statement.compile().params["dag_version_id"]
    stale = or_(table.c.dag_version_id.is_(None), table.c.dag_version_id != version)
    batch = (
        select(table.c.id)
        .where(statement.whereclause, stale)
        .order_by(table.c.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    while ids := [row[0] for row in execute(batch)]:
        execute(update(table).where(table.c.id.in_(ids)).values(dag_version_id=version))


def apply(module: ModuleType) -> None:
    """Wrap ``SchedulerJobRunner._verify_integrity_if_dag_changed``."""
    scheduler: Any = module
    stock = scheduler.SchedulerJobRunner._verify_integrity_if_dag_changed
    refresh = scheduler.update(scheduler.TI).values(dag_version_id=None)
    if not is_version_refresh(refresh, scheduler.TI.__table__):
        raise TypeError("this SQLAlchemy hides what an UPDATE sets, so the bulk update can't be recognised")

    @functools.wraps(stock)
    def verify_integrity_if_dag_changed(self: Any, dag_run: Any, session: Any) -> Any:
        stock_execute, table = session.execute, scheduler.TI.__table__

        def execute(statement: Any, *args: Any, **kwargs: Any) -> Any:
            if is_version_refresh(statement, table):
                return refresh_in_batches(stock_execute, statement, table)
            return stock_execute(statement, *args, **kwargs)

        session.execute = execute
        try:
            return stock(self, dag_run, session)
        finally:
            del session.execute

    scheduler.SchedulerJobRunner._verify_integrity_if_dag_changed = verify_integrity_if_dag_changed


FIX = Fix(
    thread=66734,
    place=20,
    summary="as #66734 proposes: the scheduler refreshes DAG versions in ordered batches, skip locked",
    components=("scheduler",),
    targets=(Target("airflow.jobs.scheduler_job_runner", "SchedulerJobRunner._verify_integrity_if_dag_changed"),),
    # 3.1 updates row by row, as loaded objects; the bulk UPDATE came with 3.2.0 and is still there.
    releases={**spread("3.1.0..3.1.8", Fit.NOT_NEEDED), **spread("3.2.0..3.4.0b2", Fit.APPLIES)},
    apply=apply,
    proposed=True,
)
