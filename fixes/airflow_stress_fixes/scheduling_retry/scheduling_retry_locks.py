"""Fix ``scheduling_retry_locks``: a scheduler's retry takes the locks of its runs again (no thread; 3.1.0 to 3.4.0b2).

The defect
    A scheduler selects the runs that it will examine with ``FOR UPDATE SKIP LOCKED``, so that no other scheduler has
    them, and examines them in ``_schedule_all_dag_runs``. That is wrapped in ``retry_db_transaction``: after a
    database error (a deadlock, a lost session) it rolls the transaction back, which gives the locks back, and calls
    the function again with the same runs. These belong to the other scheduler by then, as well: both write the same
    task instances and runs, and deadlock with each other, which makes the next retry.
    Up to 3.2.2 the runs are a result that the first attempt has consumed in part: the retry goes on with those
    *after* the run that met the error, so that this run and those before it are left out of the round, though what was
    done for them is rolled back. Since 3.3.0 they are a list, and the retry examines all of them without a lock.

The invariant
    A scheduler examines a run only in a transaction that holds the run's lock, in each attempt.

Why the obvious repair is wrong
    Removing the retry ends the scheduler at each database error. Locking the runs again and waiting for them makes
    two schedulers take turns on the same runs. Locking without reading again examines a run that the other scheduler
    has ended.

How
    ``_schedule_all_dag_runs`` is wrapped, the retry included. It is given the runs as an iterable: the first
    iteration gives those that were selected, each further one (an attempt after a rollback) selects those of them that
    still run anew, in the order of (dag_id, run_id), with ``FOR NO KEY UPDATE SKIP LOCKED``, which is the lock that the
    scheduler takes at first. A run that another scheduler has taken meanwhile is that scheduler's.

What it leaves: what an attempt has done outside the database (metrics, listeners called at a run's end) it does again,
as on stock. The other functions with ``retry_db_transaction`` take their locks inside it.

Its tests: ``tests/airflow/test_scheduling_retry_locks.py``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.jobs.scheduler_job_runner"
_FUNCTION = "_schedule_all_dag_runs"


class LockedRuns:
    """Runs whose locks the session holds: those given at first, and at each further iteration those that it gets."""

    def __init__(self, runs: Iterable[Any], session: Any) -> None:
        self._session = session
        self._given: list[Any] | None = list(runs)
        self._ids = [run.id for run in self._given]

    def __iter__(self) -> Iterator[Any]:
        runs, self._given = self._given, None
        return iter(runs if runs is not None else self._locked_again())

    def _locked_again(self) -> list[Any]:
        from airflow.models.dagrun import DagRun
        from airflow.utils.sqlalchemy import with_row_locks
        from airflow.utils.state import DagRunState
        from sqlalchemy import select

        runs = select(DagRun).where(DagRun.id.in_(self._ids), DagRun.state == DagRunState.RUNNING)
        runs = runs.order_by(DagRun.dag_id, DagRun.run_id).execution_options(populate_existing=True)
        runs = with_row_locks(runs, session=self._session, of=DagRun, skip_locked=True)
        return list(self._session.scalars(runs).unique())


def apply(module: ModuleType) -> None:
    """Wrap ``SchedulerJobRunner._schedule_all_dag_runs``."""
    runner: Any = module.SchedulerJobRunner
    stock = getattr(runner, _FUNCTION)
    signature = inspect.signature(stock)
    if not {"dag_runs", "session"} <= signature.parameters.keys():
        raise TypeError(f"{_FUNCTION}{signature} has no dag_runs or no session")

    @functools.wraps(stock)
    def schedule_all_dag_runs(*args: Any, **kwargs: Any) -> Any:
        call = signature.bind(*args, **kwargs)
        call.arguments["dag_runs"] = LockedRuns(call.arguments["dag_runs"], call.arguments["session"])
        return stock(*call.args, **call.kwargs)

    setattr(runner, _FUNCTION, schedule_all_dag_runs)


FIX = Fix(
    place=14,
    summary="a scheduler that retries after a database error locks its runs again, and leaves out those it can't have",
    components=("scheduler",),
    targets=(
        Target(_MODULE, f"SchedulerJobRunner.{_FUNCTION}"),
        Target(_MODULE, "SchedulerJobRunner._do_scheduling"),
        Target("airflow.models.dagrun", "DagRun.get_running_dag_runs_to_examine"),
        Target("airflow.utils.retries", "retry_db_transaction"),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
)
