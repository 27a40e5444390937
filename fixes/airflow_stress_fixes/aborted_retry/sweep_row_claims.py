"""Fix ``sweep_row_claims``: two sweeps over task instances wait for no row, and can be retried (3.1.0 to 3.4.0b2).

The defect
    ``Trigger.clean_unused`` (each triggerer, about once a second) and ``check_trigger_timeouts`` (each scheduler)
    update task instances of any run in one statement. It waits for rows that others hold, while it holds those before
    them, in the order of its scan, which no other transaction has: with any transaction that writes two of these rows
    in another order it deadlocks. For such errors both statements are wrapped in ``run_with_db_retries``, which
    repeats the statement and rolls nothing back. On PostgreSQL a transaction that had an error accepts no statement
    but ``ROLLBACK``: each retry fails with ``InFailedSqlTransaction``, after a wait of seconds, and that error leaves
    the triggerer's or the scheduler's loop, which ends the process. No retry can succeed, after any database error.
    3.4 retries the clean-up in a new session each time, so that its retry works; the deadlock, and the retry of
    ``check_trigger_timeouts``, are as before.

The invariant
    A sweep updates only rows that it could lock at once, and it waits for no row lock while it holds one. An attempt
    after an error begins with an empty transaction.

Why the obvious repair is wrong
    Rolling back alone makes the retry work, and leaves the deadlock: the other side of it may be the victim, and that
    is a person's or a worker's request. An ``ORDER BY`` alone makes the sweep wait in the order of ids, which suits
    those who lock by id and none else, and a triggerer that waits for a row is silent for as long as it waits.
    A rollback inside ``run_with_db_retries`` itself would undo what its other callers have done in the same session.

How
    Both methods are wrapped: their UPDATE of task instances gets ``AND id IN (SELECT id ... ORDER BY id FOR NO KEY
    UPDATE SKIP LOCKED)``, with the same condition. A row that is locked in that moment is left to the next sweep,
    which comes in a second (clean-up) or in ``scheduler.trigger_timeout_check_interval`` (15 s). Before a further
    attempt the session is rolled back; in neither method anything else precedes the UPDATE.

What it leaves: a time-out is stored one interval later if its task instance is locked at that moment; the trigger of a
row that was skipped is deleted a second later. The DELETE of triggers behind the clean-up has its own locks.
``check_awaiting_input_timeouts`` (since 3.3) locks with ``SKIP LOCKED`` already, but does more in its attempts than one
statement; its retry is as it is on stock. ``TaskInstance.get_task_instance(lock_for_update=True)`` and the DAG
processor's ``update_dag_parsing_results_in_db`` retry in the same way: the latter rolls back itself.

Its tests: ``tests/airflow/test_aborted_retry_sweep_row_claims.py``, ``tests/airflow/test_row_order.py``.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

_TRIGGER = "airflow.models.trigger"
_SCHEDULER = "airflow.jobs.scheduler_job_runner"
_RETRIES = "run_with_db_retries"

_sweep = threading.local()
"""``session``: that of the sweep that this thread is in."""


@contextlib.contextmanager
def sweeping(session: Any, entity: Any, with_row_locks: Callable[..., Any]) -> Iterator[None]:
    """In the block, UPDATEs of `entity` in this session skip locked rows, and retries begin with a rollback."""
    from sqlalchemy import event, select

    def claim(execution: Any) -> None:
        mapper = execution.bind_mapper
        if execution.is_update and mapper is not None and mapper.class_ is entity:
            rows = select(entity.id).where(execution.statement.whereclause).order_by(entity.id)
            rows = with_row_locks(rows, session, of=entity, skip_locked=True)
            statement = execution.statement.where(entity.id.in_(rows))
            # Nothing of it is in the session, and SQLAlchemy can't evaluate a subquery in Python.
            execution.statement = statement.execution_options(synchronize_session=False)

    event.listen(session, "do_orm_execute", claim)
    _sweep.session = session
    try:
        yield
    finally:
        _sweep.session = None
        event.remove(session, "do_orm_execute", claim)


def _roll_back(_state: Any) -> None:
    """After a failed attempt."""
    session = getattr(_sweep, "session", None)
    if session is not None:
        session.rollback()


def _wrap(module: ModuleType, owner: Any, name: str, entity: Any) -> None:
    """Wrap a method that sweeps, and the retries that its module looks up by name."""
    from airflow.utils.session import create_session
    from airflow.utils.sqlalchemy import with_row_locks

    found = inspect.getattr_static(owner, name)
    stock = found.__func__ if isinstance(found, classmethod) else found
    retries = getattr(module, _RETRIES, None)  # since 3.4 not of the clean-up: its caller opens a session a try
    signature = inspect.signature(stock)
    if "session" not in signature.parameters:
        raise TypeError(f"{name}{signature} has no session")

    @functools.wraps(stock)
    def sweep(*args: Any, **kwargs: Any) -> Any:
        call = signature.bind(*args, **kwargs)
        given = call.arguments.get("session")
        with contextlib.nullcontext(given) if given is not None else create_session() as session:
            call.arguments["session"] = session
            with sweeping(session, entity, with_row_locks):
                return stock(*call.args, **call.kwargs)

    setattr(owner, name, classmethod(sweep) if isinstance(found, classmethod) else sweep)
    if retries is not None:

        @functools.wraps(retries)
        def run_with_db_retries(*args: Any, **kwargs: Any) -> Any:
            return retries(*args, after=_roll_back, **kwargs)

        setattr(module, _RETRIES, run_with_db_retries)


def apply(module: ModuleType) -> None:
    """Wrap ``Trigger.clean_unused``."""
    _wrap(module, module.Trigger, "clean_unused", module.TaskInstance)


def apply_to_scheduler(module: ModuleType) -> None:
    """Wrap ``SchedulerJobRunner.check_trigger_timeouts``."""
    _wrap(module, module.SchedulerJobRunner, "check_trigger_timeouts", module.TI)


FIX = Fix(
    place=15,
    summary="trigger clean-up and time-out sweep skip locked rows, and roll back before they try again",
    components=("triggerer", "scheduler"),
    targets=(
        Target(_TRIGGER, "Trigger.clean_unused"),
        Target(_SCHEDULER, "SchedulerJobRunner.check_trigger_timeouts"),
        Target("airflow.jobs.triggerer_job_runner", "TriggerRunnerSupervisor.clean_unused"),
        Target("airflow.utils.retries", _RETRIES),
        Target("airflow.utils.sqlalchemy", "with_row_locks"),
    ),
    releases=spread("3.1.0..3.4.0b2", Fit.APPLIES),
    apply=apply,
    also={_SCHEDULER: apply_to_scheduler},
)
