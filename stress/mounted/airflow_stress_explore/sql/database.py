"""The control connection: what the server says of the schema, of committed rows, and of who waits for whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from airflow_stress_explore.sql.access import Schema
from airflow_stress_explore.sql.driver import connect

STATEMENT_TIMEOUT_S = 30
"""No statement of the control connection waits for an actor. If one does, an actor has left a transaction open."""

_TERMINATE_TIMEOUT_MS = 10_000

_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"

_FOREIGN_KEYS = """
SELECT c.relname, p.relname FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
WHERE k.contype = 'f'
"""

# Functions that may write, or read a table: volatile ones; what a user has defined unless it is immutable; and those
# that are given a table by its name.
_IMPURE = """
SELECT oid, lower(proname) AS name FROM pg_proc
WHERE provolatile = 'v' OR proname LIKE '%to\\_xml%'
   OR provolatile = 's' AND pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
"""

_PURE = f"""
WITH impure AS ({_IMPURE})
SELECT word FROM pg_get_keywords() WHERE word NOT IN (SELECT name FROM impure)
UNION SELECT lower(proname) FROM pg_proc WHERE lower(proname) NOT IN (SELECT name FROM impure)
"""

# Relations that access more than their own rows: views, partitioned and foreign tables, relations of other schemas, and
# tables with triggers, rules, heirs, a default that calls an impure function, or a sequence that another table uses,
# too.
_OPAQUE = f"""
WITH impure AS ({_IMPURE}),
sequences AS (
    SELECT d.adrelid, s.refobjid FROM pg_attrdef d JOIN pg_depend s ON s.classid = 'pg_attrdef'::regclass
    AND s.objid = d.oid AND s.refclassid = 'pg_class'::regclass
    JOIN pg_class c ON c.oid = s.refobjid AND c.relkind = 'S'
)
SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
  AND n.nspname NOT LIKE 'airflow\\_stress\\_%'
  AND (relkind IN ('v', 'm', 'p', 'f') OR relkind = 'r' AND n.nspname <> 'public')
UNION SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT tgisinternal AND tgname NOT LIKE 'airflow\\_stress\\_%'
UNION SELECT c.relname FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
WHERE c.relnamespace = 'public'::regnamespace
UNION SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid IN (i.inhparent, i.inhrelid) AND c.relkind = 'r'
UNION SELECT c.relname FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid
JOIN pg_depend f ON f.classid = 'pg_attrdef'::regclass AND f.objid = d.oid AND f.refclassid = 'pg_proc'::regclass
WHERE f.refobjid IN (SELECT oid FROM impure)
UNION SELECT c.relname FROM sequences s JOIN pg_class c ON c.oid = s.adrelid
WHERE EXISTS (SELECT FROM sequences o WHERE o.refobjid = s.refobjid AND o.adrelid <> s.adrelid)
"""

_TERMINATE = """
SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity WHERE pid = ANY(%s) AND xact_start IS NOT NULL
"""

_BLOCKERS = "SELECT pid, pg_blocking_pids(pid) FROM unnest(%s) pid"


def first_column(row: Mapping[str, Any]) -> str:
    """A row's label by default: its id, or its first column."""
    return str(row["id"]) if "id" in row else str(next(iter(row.values()), ""))[:60]


class Database:
    """A connection of our own to the database that the actors work on."""

    def __init__(self, dsn: str, label: Callable[[Mapping[str, Any]], str] = first_column) -> None:
        """`label`: how a reader identifies a row of a table."""
        self._connection = connect(dsn)
        self.backend: int = self._connection.info.backend_pid
        self._cursor = self._connection.cursor()
        self._label = label
        self._cursor.execute(f"SET statement_timeout = '{STATEMENT_TIMEOUT_S}s'")
        pure = [row[0] for row in self.query(_PURE)]
        opaque = [row[0] for row in self.query(_OPAQUE)]
        self.schema = Schema.of((row[0] for row in self.query(_TABLES)), self.query(_FOREIGN_KEYS), pure, opaque)

    def query(self, statement: str, parameters: Sequence[Any] | None = None) -> list[Any]:
        """Rows of a statement, in a separate transaction."""
        self._cursor.execute(statement, parameters)
        return list(self._cursor.fetchall()) if self._cursor.description else []

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def blockers(self, backends: Sequence[int]) -> Mapping[int, frozenset[int]]:
        """The backends that each backend waits for; those that wait for none are left out."""
        return {pid: frozenset(others) for pid, others in self.query(_BLOCKERS, (list(backends),)) if others}

    def terminate(self, backends: Sequence[int]) -> None:
        """End those backends that are in a transaction, and wait until they have ended."""
        ended = self.query(_TERMINATE, (_TERMINATE_TIMEOUT_MS, list(backends)))
        if not all(row[0] for row in ended):
            raise TimeoutError(f"a backend of {list(backends)} did not end within {_TERMINATE_TIMEOUT_MS} ms")

    def contents(self, tables: Iterable[str]) -> dict[str, list[Any]]:
        """The rows of tables, as they are committed. Names that are no tables (an advisory lock) have none."""
        wanted = sorted(set(tables) & self.schema.tables)
        if not wanted:
            return {}
        rows = "coalesce(jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t)::text), '[]')"
        parts = [f"SELECT '{table}', {rows} FROM public.\"{table}\" t" for table in wanted]
        return dict(self.query(" UNION ALL ".join(parts)))

    def row_locks(self, tables: Iterable[str], backends: Sequence[int]) -> dict[int, list[str]]:
        """Rows of tables that backends hold a lock on, by each row's `xmax`; for a witness.

        Left out: rows that several transactions share a lock on, and rows that were just inserted.
        """
        holders = {
            str(xid): pid
            for pid, xid in self.query(
                "SELECT pid, transactionid::text FROM pg_locks "
                "WHERE locktype = 'transactionid' AND granted AND mode = 'ExclusiveLock' AND pid = ANY(%s)",
                (list(backends),),
            )
        }
        found: dict[int, list[str]] = {}
        if not holders:
            return found
        for table in sorted(tables):
            for xmax, row in self.query(
                f'SELECT xmax::text, to_jsonb(t) FROM public."{table}" t WHERE xmax::text = ANY(%s)', (list(holders),)
            ):
                found.setdefault(holders[xmax], []).append(f"{table} {self._label(row)}")
        return found

    def awaited(self, backend: int) -> str | None:
        """What a backend waits for, as the server says it: a row by its label, or a kind of lock."""
        for kind, table, place in self.query(
            "SELECT l.locktype, l.relation::regclass::text, '(' || l.page || ',' || l.tuple || ')' FROM pg_locks l "
            "WHERE l.pid = %s AND (NOT l.granted OR l.locktype = 'tuple') ORDER BY l.locktype = 'tuple' DESC",
            (backend,),
        ):
            if kind == "tuple" and table.strip('"') in self.schema.tables:
                rows = self.query(f"SELECT to_jsonb(t) FROM {table} t WHERE ctid = %s::tid", (place,))
                return f"{table} {self._label(rows[0][0]) if rows else place}"
            if kind == "relation":
                return f"table {table}"
            if kind != "transactionid":
                return f"a lock of kind {kind}"
        return None
