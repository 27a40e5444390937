"""Fix ``deadline_claim``: one scheduler handles a missed deadline (#64710's first cause, 3.1.0 to 3.2.2).

The defect
    The scheduler's loop selects expired, unhandled deadlines without a lock and calls ``handle_miss`` on
    each. Two schedulers that select before either commits both handle the same row, and each makes a
    callback trigger (3.1) or queues the callback anew (3.2).

The invariant
    ``handle_miss`` acts only in a transaction that holds the deadline's row lock and has seen, under that
    lock, that the row's latest committed version is unhandled. The lock lasts until the commit that
    publishes the row as handled, so of any number of schedulers at most one commits the handling. No process
    waits (``SKIP LOCKED``), so several deadlines in one transaction can't deadlock; a row whose handler
    rolls back is free again, so no miss is lost.

Why it holds at READ COMMITTED
    The claim is a separate statement, with a newer snapshot than the loop's SELECT: a handling committed
    in between is seen. One committed during the claim makes PostgreSQL check the condition again on the new
    version. The claim selects a column, not the entity, so the identity map, which still holds the loop's
    stale object, can't answer it. The object of a lost claim is expired, so that nothing later in the
    session acts on what it believed. Airflow's sessions don't flush by themselves, but what is pending when
    a claim runs concerns other deadlines anyway.

Why the obvious repair is wrong
    It isn't wrong for this cause: ``SKIP LOCKED`` on the loop's own SELECT (``proposed_deadline_row_lock``)
    works too. But it protects one caller of ``handle_miss`` and keeps all expired rows locked while each is
    handled; and it leaves the triggerers' cause of the same symptom untouched (see
    ``callback_trigger_owner``). Checking ``self.missed`` again is wrong: it reads the stale object.
    ``session.refresh(self)`` reads the row without claiming it.

What it leaves: the triggers of callbacks are still taken by every triggerer (``callback_trigger_owner``), and only
PostgreSQL checks the condition again on a row's new version. On MariaDB ``with_row_locks`` adds no lock, so that the
claim would claim nothing: the mount refuses that database.

Its test: ``tests/airflow/test_duplicate_callback_deadline_claim.py``.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread


def apply(module: ModuleType) -> None:
    """Wrap ``Deadline.handle_miss`` in a claim of the row."""
    from airflow.utils.sqlalchemy import with_row_locks
    from sqlalchemy import select

    deadline: Any = module.Deadline
    stock = deadline.handle_miss

    @functools.wraps(stock)
    def handle_miss(self: Any, session: Any) -> None:
        # 3.1 marks a handled deadline by the state of its callback, 3.2 by a separate flag.
        unhandled = ~deadline.missed if hasattr(deadline, "missed") else deadline.callback_state.is_(None)
        claim = select(deadline.id).where(deadline.id == self.id, unhandled)
        claimed = session.scalar(with_row_locks(claim, session=session, of=deadline, skip_locked=True))
        if claimed is None:
            session.expire(self)
            return
        stock(self, session)

    deadline.handle_miss = handle_miss


FIX = Fix(
    thread=64710,
    place=2,
    summary="a scheduler handles a missed deadline only after it has locked the row and seen it unhandled",
    components=("scheduler",),
    targets=(
        Target("airflow.models.deadline", "Deadline.handle_miss"),
        Target("airflow.jobs.scheduler_job_runner", "SchedulerJobRunner._run_scheduler_loop"),
        # Whose callbacks the claim lets through once.
        Target("airflow.models.trigger", "Trigger.assign_unassigned"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases={**spread("3.1.0..3.2.2", Fit.APPLIES), **spread("3.3.0..3.4.0b2", Fit.NOT_NEEDED)},
    apply=apply,
)
