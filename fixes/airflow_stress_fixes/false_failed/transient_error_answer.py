"""Fix ``transient_error_answer``: a success that meets a passing database error is not stored as failed (since 3.3.1).

The defect
    ``PATCH /execution/task-instances/{id}/state`` builds its update in a ``try`` whose ``except Exception``
    sets the task to failed: after any error, also when a worker reported success. Up to 3.3.0 a database error
    left the session aborted, so that writing FAILED failed, too, and the worker got a 500 and tried again.
    Since 3.3.1 the handler rolls back first: FAILED is really stored, and the worker is answered 204. A
    deadlock, a lock or statement timeout, a serialization failure or a lost connection thus turns a finished
    task into a failed one. It needs nothing broken: two api-server processes that register the same two
    outlets deadlock by themselves, since a set of assets has another order in each process. And the
    rollback releases the row's lock: what others store meanwhile is overwritten unseen.

The invariant
    An update that met a passing error (SQLSTATE 40P01, 40001, 55P03, 57014, or a connection that is gone)
    writes nothing: its transaction is rolled back, and the worker is asked to try again (503 with
    ``Retry-After``), as its client does with every 5xx. All other errors go the way they went.

Why the obvious repair is wrong
    Trying again inside the handler, or in a loop around it, runs with the locks given back and with the state
    that was read before: it needs all of the route, from the first read. The worker's own retry is just that.
    Answering 500 would do, too, but tells an operator that something is broken. Raising from the function
    that builds the update is not enough: the handler catches that, as it catches everything.

How
    The route looks up the function that builds the update by its global name, and so it can be reached there.
    It is wrapped: on a passing error the request's session gets a ``rollback`` that rolls back and then raises
    the answer. The handler's next step is to call it; raised inside the handler, nothing catches it there.

On 3.4
    The handler is as before, but for the report of a loop's gate, for which it raises the error again. The request's
    session then rolls back as the request ends, and the answer is the same.

A statement that always times out
    57014 is also what a statement gets whose ``statement_timeout`` is too short for it, every time. It is answered 503
    all the same: the error doesn't tell which kind it is, and a success that is stored as failed can't be taken back.
    The retries have an end. It is the worker's: its client gives up after ``workers.execution_api_retries`` attempts
    (5), the worker's process ends, and the scheduler ends the task when its heartbeats have been missing for
    ``scheduler.task_instance_heartbeat_timeout``. So the outcome is a failure or a retry of the task, as on stock, a
    few minutes later, and without a false answer to the worker.

What it leaves: nothing is done about the deadlocks themselves, and an error at the commit was never stored wrongly.

Its test: ``stress repro false_failed`` (``tests/explore/test_reproducers.py``).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fit, Fix, Target, replacing
from airflow_stress_fixes.known_sources import spread

_MODULE = "airflow.api_fastapi.execution_api.routes.task_instances"
_FUNCTION = "_create_ti_state_update_query_and_update_state"
_PASSING = frozenset({"40P01", "40001", "55P03", "57014"})
"""Deadlock, serialization failure, lock not available (a lock timeout), query cancelled (a statement timeout)."""

RETRY_AFTER_S = 1


def is_passing(error: Any) -> bool:
    """Whether a database error is one that the same request may not meet again."""
    state = getattr(error.orig, "pgcode", None) or getattr(error.orig, "sqlstate", None)
    return bool(error.connection_invalidated) or state in _PASSING


def answer_at_rollback(session: Any) -> None:
    """Make this session's next rollback end the request with an answer that asks to try again."""
    from fastapi import HTTPException

    def rollback() -> None:
        del session.rollback
        session.rollback()
        raise HTTPException(
            status_code=503,
            detail={"reason": "database_busy", "message": "A passing database error: nothing was stored, try again"},
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )

    session.rollback = rollback


def apply(module: ModuleType) -> None:
    """Wrap the function that builds the update."""
    from sqlalchemy.exc import DBAPIError

    stock = getattr(module, _FUNCTION)

    @replacing(module, _FUNCTION)
    def create_update(*, session: Any, **arguments: Any) -> Any:
        try:
            return stock(session=session, **arguments)
        except DBAPIError as error:
            if is_passing(error):
                answer_at_rollback(session)
            raise


FIX = Fix(
    place=5,
    summary="a state update that meets a passing database error stores nothing and asks the worker to try again",
    components=("api-server",),
    targets=(
        Target(_MODULE, _FUNCTION),
        Target(_MODULE, "ti_update_state"),
        # Retried by the worker if it fails; before, it fails by itself.
        Target("airflow.models.taskinstance", "TaskInstance.register_asset_changes_in_db"),
    ),
    releases={
        # Before 3.3.1 the error handler did not get as far as storing anything.
        **spread("3.1.0..3.3.0", Fit.NOT_NEEDED),
        **spread("3.3.1..3.4.0b2", Fit.APPLIES),
    },
    apply=apply,
)
