"""The database: the state that every schedule begins with, and what it became.

Each run ends with real commits, so savepoints can't bring the state back. What can (medians on 2 busy cores,
PostgreSQL 16, durability off, Airflow 3.2.1, five tables; `benchmarks/explore_speed.py` measures it again):

    a database copied from a template      166 ms, and all connections are lost
    TRUNCATE and INSERT                     52 ms: it takes along every table that points to these, and makes new files
    DELETE and INSERT of written tables    0.2 ms                                                          <- this

The state is kept in tables of a schema of its own. Back it goes in one message to the server: foreign keys off
(`session_replication_role`), then only the tables that a run has written, by the statements that the engine saw, with
what a DELETE cascades to; then their sequences, so that ids are the same each time.

Deleted rows stay in the files until somebody vacuums, so that is done now and then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg2

from airflow_stress_explore.footprint import Schema

_KEPT = "airflow_stress_kept"
_EMPTY = "airflow_stress_empty"
_VACUUM_EVERY = 200

_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"

_FOREIGN_KEYS = """
SELECT c.relname, p.relname FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
WHERE k.contype = 'f'
"""

_VOLATILE = "SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v' AND prokind IN ('f', 'p')"

_COLUMNS = """
SELECT c.relname, array_agg(quote_ident(a.attname) ORDER BY a.attnum)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attgenerated = ''
GROUP BY c.relname
"""

_SEQUENCES = """
SELECT t.relname, s.relname FROM pg_depend d
JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_class t ON t.oid = d.refobjid
WHERE d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
"""

_BLOCKERS = "SELECT pid, pg_blocking_pids(pid) FROM unnest(%s) pid"


class Database:
    """A connection of our own to the database that the actors work on."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg2.connect(dsn)
        self._connection.autocommit = True
        self.backend: int = self._connection.info.backend_pid
        self._cursor = self._connection.cursor()
        # Nothing of ours waits for an actor: if it does, an actor has left a transaction open.
        self._cursor.execute("SET statement_timeout = '30s'")
        volatile = [row[0] for row in self.query(_VOLATILE)]
        self.schema = Schema.of((row[0] for row in self.query(_TABLES)), self.query(_FOREIGN_KEYS), volatile)
        self._columns = {table: ", ".join(columns) for table, columns in self.query(_COLUMNS)}
        self._sequences: dict[str, list[str]] = {}
        for table, sequence in self.query(_SEQUENCES):
            self._sequences.setdefault(table, []).append(sequence)
        self._back: dict[str, str] = {}
        self._empty: dict[str, str] | None = None
        self._resets = 0
        self._written_since: set[str] = set()

    def query(self, statement: str, parameters: Sequence[Any] | None = None) -> list[Any]:
        """Rows of a statement, in a transaction of its own."""
        self._cursor.execute(statement, parameters)
        return list(self._cursor.fetchall()) if self._cursor.description else []

    def blockers(self, backends: Sequence[int]) -> Mapping[int, frozenset[int]]:
        """Whom each backend waits for; those that wait for nobody are left out."""
        return {pid: frozenset(others) for pid, others in self.query(_BLOCKERS, (list(backends),)) if others}

    # -- the state to begin with ---------------------------------------------------------------------------------

    def begin_again(self) -> None:
        """Bring back the state of the migrated database, so that one process can play several pairs."""
        if self._empty is None:
            self._empty = self._copy(_EMPTY)
        self._put_back(self._empty, self.schema.tables)

    def keep(self) -> None:
        """Take the state as it is now for the one that each run begins with."""
        self._back = self._copy(_KEPT)

    def _copy(self, schema: str) -> dict[str, str]:
        """Copy all tables to a schema; gives the statements that bring each one back."""
        statements = [f"DROP SCHEMA IF EXISTS {schema} CASCADE", f"CREATE SCHEMA {schema}"]
        statements += [
            f'CREATE TABLE {schema}."{table}" AS TABLE public."{table}"' for table in sorted(self.schema.tables)
        ]
        self.query("; ".join(statements))
        back = {}
        for table in self.schema.tables:
            columns = self._columns[table]
            steps = [
                f'DELETE FROM public."{table}"',
                f'INSERT INTO public."{table}" ({columns}) SELECT {columns} FROM {schema}."{table}"',
            ]
            for sequence in self._sequences.get(table, []):
                value, called = self.query(f'SELECT last_value, is_called FROM public."{sequence}"')[0]
                steps.append(f"SELECT setval('public.\"{sequence}\"', {value}, {called})")
            back[table] = "; ".join(steps)
        return back

    def _put_back(self, back: Mapping[str, str], tables: Iterable[str]) -> None:
        statements = [back[table] for table in sorted(tables)]
        # Without foreign keys: they hold in the state that is put back, as they did when it was taken.
        self.query(
            "; ".join(["SET session_replication_role = replica", *statements, "SET session_replication_role = origin"])
        )

    def restore(self, written: Iterable[str], in_place: Iterable[str] = ()) -> None:
        """Bring the tables back to the kept state; the rows of those `in_place` to the same places of the file, too."""
        tables = sorted(set(written) & self._back.keys())
        placed = sorted(set(tables) & set(in_place))
        if placed:
            self.query(
                "; ".join(
                    [
                        "SET session_replication_role = replica",
                        *(f'DELETE FROM public."{table}"' for table in placed),
                        "SET session_replication_role = origin",
                    ]
                )
            )
            for table in placed:
                self.query(f'VACUUM public."{table}"')  # not in a transaction of several statements
        self._resets += 1
        self._written_since |= set(tables)
        if tables:
            self._put_back(self._back, tables)
        if self._resets % _VACUUM_EVERY == 0:
            for table in sorted(self._written_since):
                self.query(f'VACUUM public."{table}"')
            self._written_since.clear()

    # -- what it became ------------------------------------------------------------------------------------------

    def contents(self, tables: Iterable[str]) -> dict[str, list[Any]]:
        """The rows of tables, as they are committed. Names that are no tables (locks, say) have no rows."""
        wanted = sorted(set(tables) & self.schema.tables)
        if not wanted:
            return {}
        rows = "coalesce(jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t)::text), '[]')"
        parts = [f"SELECT '{table}', {rows} FROM public.\"{table}\" t" for table in wanted]
        return dict(self.query(" UNION ALL ".join(parts)))

    def row_locks(self, tables: Iterable[str], backends: Sequence[int]) -> dict[int, list[str]]:
        """Rows of tables that backends hold a lock on, as each row's `xmax` tells; for the witness.

        Not told: rows that several transactions share a lock on, and rows that were only just inserted.
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
                found.setdefault(holders[xmax], []).append(f"{table} {_key(row)}")
        return found

    def awaited(self, backend: int) -> str | None:
        """What a backend waits for, as the server says it: `dag_run row 1`, or a kind of lock."""
        for kind, table, place in self.query(
            "SELECT l.locktype, l.relation::regclass::text, '(' || l.page || ',' || l.tuple || ')' FROM pg_locks l "
            "WHERE l.pid = %s AND (NOT l.granted OR l.locktype = 'tuple') ORDER BY l.locktype = 'tuple' DESC",
            (backend,),
        ):
            if kind == "tuple" and table.strip('"') in self.schema.tables:
                rows = self.query(f"SELECT to_jsonb(t) FROM {table} t WHERE ctid = %s::tid", (place,))
                return f"{table} {_key(rows[0][0]) if rows else place}"
            if kind == "relation":
                return f"table {table}"
            if kind != "transactionid":
                return f"a lock of kind {kind}"
        return None


def _key(row: Mapping[str, Any]) -> str:
    """What a reader knows a row by."""
    names = [name for name in ("dag_id", "run_id", "task_id", "name", "key") if row.get(name)]
    if "id" in row and len(names) < 2:
        return str(row["id"])[-12:]
    return "/".join(str(row[name]) for name in names) or json.dumps(row)[:60]
