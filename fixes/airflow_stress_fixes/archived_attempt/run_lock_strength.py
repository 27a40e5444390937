"""Fix ``run_lock_strength``: clearing and marking lock a run without blocking rows that refer to it (3.4.0b2).

The defect
    From 3.4 on an attempt that ends with a retry, or that was cleared while it ran, is archived and gets a
    successor: a new row of ``task_instance``. Its foreign key makes PostgreSQL lock the run's row ``FOR KEY
    SHARE``. The transaction holds the row of the attempt at that moment. Clearing and marking go the other way:
    ``lock_dag_runs`` takes the run ``FOR UPDATE``, which conflicts with ``FOR KEY SHARE``, and then they lock or
    update the attempt. So a worker that reports a retry or a stop, and a scheduler that hears of a worker's exit or
    misses its heartbeats, deadlock with a user who clears or marks the task.

The invariant
    A lock of a run, taken to change its columns or its task instances, blocks others that do the same, and no
    transaction that inserts a row with a reference to the run. ``FOR NO KEY UPDATE`` is that lock; the scheduler
    takes it.

Why the obvious repair is wrong
    A lock of the run in the functions that archive an attempt comes too late: their callers hold the row of the
    attempt by then. Each of four callers would have to lock the run before. A second attempt after the deadlock is
    worse: the scheduler has drained the executor's events by then.

How
    ``lock_dag_runs`` gets a session that weakens the lock of the statement that it runs. Its callers keep their
    order and exclude each other and the scheduler as before. None of them deletes a run or changes its key under
    this lock.

What it leaves: the order of runs that one request clears one by one (``clear_runs_order``), and an update that does not
lock the run at all.

Its tests: ``stress repro archived_attempt_deadlock`` (``tests/explore/test_reproducers.py``).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target, replacing
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.models.dagrun"
_FUNCTION = "lock_dag_runs"


class _NoKeyUpdate:
    """A session for one call, whose statement locks rows ``FOR NO KEY UPDATE``."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def execute(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        return self._session.execute(statement.with_for_update(key_share=True), *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def apply(module: ModuleType) -> None:
    """Wrap ``lock_dag_runs``."""
    stock = getattr(module, _FUNCTION)

    @replacing(module, _FUNCTION)
    def lock_dag_runs(session: Any, run_keys: Any, *, refresh: bool = False) -> None:
        stock(_NoKeyUpdate(session), run_keys, refresh=refresh)


FIX = Fix(
    place=16,
    summary="clearing and marking lock a run without blocking the successors of its attempts",
    components=("api-server", "scheduler"),
    targets=(
        Target(_MODULE, _FUNCTION),
        # Who inserts a row that refers to the run, with the row of the attempt locked.
        Target("airflow.models.taskinstance", "TaskInstance.prepare_db_for_next_try"),
    ),
    releases={**spread("3.1.0..3.3.2", Fit.NOT_NEEDED), **spread("3.4.0b2", Fit.APPLIES)},
    apply=apply,
)
