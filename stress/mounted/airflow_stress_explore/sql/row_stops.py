"""Stops between the rows of one statement.

A statement that locks several rows locks them one after the other, in the order of its plan. Two such statements can
deadlock, although each of them is one step of the search. With these stops, a statement also stops after each
row that it locks:

    actor    UPDATE task_instance ...   locks row 1 | stop | locks row 2 | stop | ... returns
    executor                                        ^ choose, resume     ^ choose, resume

How a statement is stopped depends on what it does:

- INSERT, UPDATE and DELETE fire a BEFORE row trigger. For UPDATE and DELETE, PostgreSQL locks the row before it calls
  the trigger. For INSERT, the trigger comes before the row, so it separates it from the row before.
- SELECT ... FOR UPDATE fires no trigger. It is sent as
  `SELECT * FROM (SELECT ... FOR UPDATE) q WHERE (SELECT stop(q IS NULL))`. The planner does not flatten a subquery that
  locks rows, and does not push a condition with a subselect into it (a bare `stop()` it does: then it is called before
  the row is locked, or sorted). So the same plan locks a row, and `stop()` is called before it locks the next one.

`stop()` waits for an advisory lock that the control connection holds. Each backend has two locks, the *gate* and
the *exit*. To resume a backend, the executor takes the exit, opens the gate, closes it again (which succeeds as soon as
the backend has passed), and opens the exit. So a backend can't pass two stops at once, and no statement of ours waits
for an actor.

Only tables that one actor locks and another one locks or refers to have stops. They are found by the operations
themselves, played one after the other (`overlap`).

The order of rows depends on their place in the table's file, so tables with stops are vacuumed whenever the starting
state is restored: each schedule then begins with the same places.

Limits: a locking SELECT inside another statement (a CTE, a subquery of an UPDATE) has no stops. A table that an
operation only locks in a race, and never when it is played alone, has none either. Each row that is locked twice by one
statement (by two triggers, for example) has one stop.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

from airflow_stress_explore.sql.access import Access, AccessSet
from airflow_stress_explore.sql.database import Database

_GATE, _EXIT = 1, 2

_FUNCTIONS = f"""
CREATE OR REPLACE FUNCTION public.airflow_stress_stop(empty boolean) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_lock_shared(pg_backend_pid(), {_GATE});
    PERFORM pg_advisory_unlock_shared(pg_backend_pid(), {_GATE});
    PERFORM pg_advisory_lock_shared(pg_backend_pid(), {_EXIT});
    PERFORM pg_advisory_unlock_shared(pg_backend_pid(), {_EXIT});
    RETURN true;
END $$;
CREATE OR REPLACE FUNCTION public.airflow_stress_stop_at_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM public.airflow_stress_stop(false);
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;
"""

_TRIGGER = """
CREATE OR REPLACE TRIGGER airflow_stress_stop BEFORE INSERT OR UPDATE OR DELETE ON public."{table}"
FOR EACH ROW EXECUTE FUNCTION public.airflow_stress_stop_at_row()
"""

_RESUME = """
SELECT pg_advisory_lock({backend}, {exit}); SELECT pg_advisory_unlock({backend}, {gate});
SELECT pg_advisory_lock({backend}, {gate}); SELECT pg_advisory_unlock({backend}, {exit})
"""

_SELECT = re.compile(r"\s*select\b", re.IGNORECASE)


class RowStops:
    """The stops between the rows of these tables, in one database."""

    def __init__(self, database: Database, tables: Iterable[str]) -> None:
        """Install them."""
        self.tables = frozenset(tables)
        self.holder = database.backend
        """The backend that holds the gates: an actor that waits for it is between two rows."""

        self._database = database
        self._closed: set[int] = set()
        database.query(_FUNCTIONS)
        for table in sorted(self.tables):
            database.query(_TRIGGER.format(table=table))

    def remove(self) -> None:
        """Remove the triggers, and open all gates."""
        for table in sorted(self.tables):
            self._database.query(f'DROP TRIGGER airflow_stress_stop ON public."{table}"')
        self._database.query("SELECT pg_advisory_unlock_all()")

    def stops(self, access: Access) -> bool:
        """Whether a statement may stop between its rows."""
        return not access.ends and not access.set.locks.isdisjoint(self.tables)

    def close_gate(self, backend: int) -> None:
        """Make a backend's statements stop."""
        if backend not in self._closed:
            self._database.query(f"SELECT pg_advisory_lock({backend}, {_GATE})")
            self._closed.add(backend)

    def resume(self, backend: int) -> None:
        """Resume a backend from its stop to the next one."""
        self._database.query(_RESUME.format(backend=backend, gate=_GATE, exit=_EXIT))

    def rewritten(self, statement: str, access: Access) -> str:
        """The statement as it has to be sent so that it stops."""
        accessed = access.set
        if not self.stops(access) or accessed.writes or not _SELECT.match(statement):
            return statement
        condition = "(SELECT public.airflow_stress_stop(airflow_stress_rows IS NULL))"
        return f"SELECT * FROM ({statement}) AS airflow_stress_rows WHERE {condition}"  # noqa: S608 - the actor's own


def rest_of(access: Access) -> Access:
    """What a statement that has locked some of its rows still accesses: its reads are done (its snapshot)."""
    whole = access.set
    return Access(AccessSet(frozenset(), whole.locks, whole.shares, whole.writes))


def overlap(sets: Sequence[AccessSet]) -> frozenset[str]:
    """Tables of which one actor locks rows, and another one locks rows or refers to them."""
    found: set[str] = set()
    for one, other in itertools.permutations(sets, 2):
        found |= one.locks & (other.locks | other.shares)
    return frozenset(found)
