"""Where actors stop: SQLAlchemy's events before each statement, commit and rollback of an engine."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

from airflow_stress_explore.core.frames import calling_frame
from airflow_stress_explore.sql.access import Access, AccessSet, access_set
from airflow_stress_explore.sql.actors import (
    COMMIT,
    ROLLBACK,
    ActorThread,
    Crashed,
    DatabaseError,
    Step,
    actors_by_thread,
)
from airflow_stress_explore.sql.driver import backend_of, sqlstate_of

_hooked: weakref.WeakSet[Any] = weakref.WeakSet()


def listen(engine: Any) -> None:
    """Hook an SQLAlchemy engine's statements. Once is enough; further calls do nothing."""
    from sqlalchemy import event

    if engine in _hooked:
        return
    _hooked.add(engine)

    def before(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        actor = _actor()
        if actor is not None:
            if actor.crashed:
                raise Crashed
            access = Access(access_set(statement, actor.shared.schema))
            backend = backend_of(cursor.connection) or actor.backend
            step = Step(actor.name, actor.operation, statement, access, parameters, frame=_frame())
            actor.wait_for_turn(step, backend)
            statement = actor.shared.rewrite(statement, access)
        return statement, parameters

    def after(_connection: Any, cursor: Any, *_: Any) -> None:
        actor = _actor()
        if actor is not None:
            actor.statement_ended(f"{cursor.rowcount} rows" if cursor.rowcount >= 0 else "done")

    def ending(what: str) -> Callable[[Any], None]:
        def end(connection: Any) -> None:
            actor = _actor()
            if actor is None or actor.crashed:
                return
            actor.statement_ended("done")
            held = actor.held
            writes = held.writes if what == COMMIT else frozenset()
            access = Access(AccessSet(frozenset(), held.locks, held.shares, writes), ends=True)
            backend = backend_of(connection.connection.dbapi_connection) or actor.backend
            actor.wait_for_turn(Step(actor.name, actor.operation, what, access, frame=_frame()), backend)
            actor.in_statement = what == COMMIT  # a rollback waits for nothing

        return end

    def failed(context: Any) -> None:
        actor = _actor()
        if actor is None or actor.crashed:  # of a crashed one the server has ended the connection
            return
        original = context.original_exception
        sqlstate = sqlstate_of(original)
        text = str(original).strip()
        access = actor.pending.access if actor.pending is not None else Access(AccessSet())
        lines = [line for line in text.splitlines() if line and (line == text.splitlines()[0] or "CONTEXT" in line)]
        outcome = f"{sqlstate or type(original).__name__}: {'; '.join(lines)}"
        actor.statement_failed(DatabaseError(actor.name, sqlstate, text, access), outcome)

    event.listen(engine, "before_cursor_execute", before, retval=True)
    event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "commit", ending(COMMIT))
    event.listen(engine, "rollback", ending(ROLLBACK))
    event.listen(engine, "handle_error", failed)


def _frame() -> str:
    return calling_frame(sys._getframe(1))


def _actor() -> ActorThread | None:
    return actors_by_thread.get(threading.get_ident())
