"""Snapshots: the state of the tables that every schedule begins with, kept and restored.

Each schedule ends with real commits, so savepoints cannot restore the state. What can (medians on 2 busy cores,
PostgreSQL 16, durability off, Airflow 3.2.1, five tables; `benchmarks/explore_speed.py` measures it again):

    a database copied from a template      166 ms, and all connections are lost
    TRUNCATE and INSERT                     52 ms: it truncates all that point to these, and makes new files
    DELETE and INSERT of written tables    0.2 ms                                                          <- this

The state is kept in tables of a separate schema. It is restored in one message to the server: foreign keys off
(`session_replication_role`), then only the tables that a schedule has written, by the statements that the executor saw,
with what a DELETE cascades to; then their sequences, so that ids are the same each time. Sequences of no table are
restored after a statement that was not understood: no other statement draws from them.

Deleted rows stay in the files until a vacuum, so the tables are vacuumed every 200 schedules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airflow_stress_explore.sql.access import UNKNOWN
from airflow_stress_explore.sql.database import Database

_KEPT = "airflow_stress_kept"
_FIRST = "airflow_stress_empty"
_VACUUM_EVERY = 200

_COLUMNS = """
SELECT c.relname, array_agg(quote_ident(a.attname) ORDER BY a.attnum)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attgenerated = ''
GROUP BY c.relname
"""

_SEQUENCES = """
SELECT t.relname, s.relname FROM pg_class s
LEFT JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
LEFT JOIN pg_class t ON t.oid = d.refobjid
WHERE s.relkind = 'S' AND s.relnamespace = 'public'::regnamespace
"""


class Snapshot:
    """The state that schedules begin with, in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._columns = {table: ", ".join(columns) for table, columns in database.query(_COLUMNS)}
        self._sequences: dict[str, list[str]] = {}
        self._free_sequences: list[str] = []
        for table, sequence in database.query(_SEQUENCES):
            if table is None:
                self._free_sequences.append(sequence)
            else:
                self._sequences.setdefault(table, []).append(sequence)
        self._taken: dict[str, str] = {}
        self._first: dict[str, str] | None = None
        self._resets = 0
        self._written_since: set[str] = set()

    def restore_first(self) -> None:
        """Restore the state in which the database was first seen, so that one process can play several pairs."""
        if self._first is None:
            self._first = self._copy(_FIRST)
        self._write_back(self._first, self._first)

    def take(self) -> None:
        """Take the state as it is now for the one that each schedule begins with."""
        self._taken = self._copy(_KEPT)

    def _copy(self, schema: str) -> dict[str, str]:
        """Copy all tables to a schema; gives the statements that bring each one back."""
        statements = [f"DROP SCHEMA IF EXISTS {schema} CASCADE", f"CREATE SCHEMA {schema}"]
        tables = sorted(self._database.schema.tables)
        statements += [f'CREATE TABLE {schema}."{table}" AS TABLE public."{table}"' for table in tables]
        self._database.query("; ".join(statements))
        back = {}
        for table in tables:
            columns = self._columns[table]
            steps = [
                f'DELETE FROM public."{table}"',
                f'INSERT INTO public."{table}" ({columns}) SELECT {columns} FROM {schema}."{table}"',
            ]
            steps += [self._sequence_at(sequence) for sequence in self._sequences.get(table, [])]
            back[table] = "; ".join(steps)
        back[UNKNOWN] = "; ".join(self._sequence_at(sequence) for sequence in self._free_sequences) or "SELECT 1"
        return back

    def _sequence_at(self, sequence: str) -> str:
        """The statement that sets a sequence to where it is now."""
        value, called = self._database.query(f'SELECT last_value, is_called FROM public."{sequence}"')[0]
        return f"SELECT setval('public.\"{sequence}\"', {value}, {called})"

    def _write_back(self, back: Mapping[str, str], tables: Iterable[str]) -> None:
        statements = [back[table] for table in sorted(tables)]
        # Without foreign keys: they hold in the state that is restored, as they did when it was taken.
        self._database.query(
            "; ".join(["SET session_replication_role = replica", *statements, "SET session_replication_role = origin"])
        )

    def restore(self, written: Iterable[str], in_place: Iterable[str] = ()) -> None:
        """Restore tables; the rows of those `in_place` to the same places of the file, too."""
        tables = sorted(set(written) & self._taken.keys())
        placed = sorted(set(tables) & set(in_place))
        if placed:
            self._database.query(
                "; ".join(
                    [
                        "SET session_replication_role = replica",
                        *(f'DELETE FROM public."{table}"' for table in placed),
                        "SET session_replication_role = origin",
                    ]
                )
            )
            for table in placed:
                self._database.query(f'VACUUM public."{table}"')  # not in a transaction of several statements
        self._resets += 1
        self._written_since |= set(tables) - {UNKNOWN}
        if tables:
            self._write_back(self._taken, tables)
        if self._resets % _VACUUM_EVERY == 0:
            for table in sorted(self._written_since):
                self._database.query(f'VACUUM public."{table}"')
            self._written_since.clear()
