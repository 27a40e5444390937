"""Fix ``purge_row_locks``: a scheduler that ends silent tasks holds the row of each of them (3.4.0b2).

The defect
    ``_find_task_instances_without_heartbeats`` locks the rows of all silent tasks, so that no worker can store a
    final state between the scan and the end that the purge stores. The purge goes through them in a loop, and
    ``TaskInstance.handle_failure`` commits for each: after the first task the rows of the others are not locked.
    Each is read again (``refresh_from_db``) and examined, but without a lock. A worker that reports success between
    that read and the purge's write is answered 204, and its success is overwritten with a failure; a cleared task
    that is released there (``complete_restart``) makes the purge raise a ValueError, which ends the scheduler.

The invariant
    The purge decides about a task only under the lock of its row, which lasts until the commit that stores the
    decision.

Why the obvious repair is wrong
    Without the commit all rows stay locked until the last callback is sent, and other callers of ``save_to_db``
    rely on it. A second read of the state without a lock only narrows the window.

How
    The purge is called for one task at a time. Before that its row is locked and read again; a row that another
    transaction holds is passed over (``SKIP LOCKED``), as in the scan, and the next sweep finds it.

On releases to 3.3.2
    The scan takes no locks, so this defect is not there. A late success is overwritten there for another reason
    (#42553), which 3.4 repaired in the scan.

Its tests: ``stress repro archived_attempt_overwrite archived_attempt_purge`` (``tests/explore/test_reproducers.py``).
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.jobs.scheduler_job_runner"


def lock_again(task_instance: Any, session: Any) -> Any:
    """The task instance as it is now, with its row locked; None if another transaction holds it or it is gone."""
    from airflow.utils.sqlalchemy import with_row_locks
    from sqlalchemy import select

    model = type(task_instance)
    rows = select(model).where(model.id == task_instance.id).execution_options(populate_existing=True)
    rows = with_row_locks(rows, session=session, of=model, skip_locked=True)
    return session.scalars(rows).unique().one_or_none()


def apply(module: ModuleType) -> None:
    """Wrap ``SchedulerJobRunner._purge_task_instances_without_heartbeats``."""
    runner: Any = module.SchedulerJobRunner
    stock = runner._purge_task_instances_without_heartbeats

    @functools.wraps(stock)
    def purge(self: Any, task_instances_without_heartbeats: list[Any], *, session: Any) -> None:
        for silent in task_instances_without_heartbeats:
            held = lock_again(silent, session)
            if held is not None:
                stock(self, [held], session=session)

    runner._purge_task_instances_without_heartbeats = purge


FIX = Fix(
    place=17,
    summary="a scheduler that ends silent tasks locks the row of each of them until it has stored its end",
    components=("scheduler",),
    targets=(
        Target(_MODULE, "SchedulerJobRunner._purge_task_instances_without_heartbeats"),
        Target(_MODULE, "SchedulerJobRunner._find_task_instances_without_heartbeats"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases={**spread("3.1.0..3.3.2", Fit.NOT_NEEDED), **spread("3.4.0b2", Fit.APPLIES)},
    apply=apply,
)
