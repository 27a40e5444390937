"""Rows of two states that came to be at different times, made comparable.

Values that differ from run to run by their nature are replaced: a time of day by `T`, and a generated key that the
starting state does not have by `new`. Generated are UUIDs, columns that draw from a sequence, and foreign keys to
those.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from airflow_stress_explore.sql.database import Database

TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z|\+00)?")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

Rows = Sequence[Mapping[str, Any]]
Normalize = Callable[[str, Rows], tuple[str, ...]]
"""A table's name and rows to sorted texts that are equal for two runs that did the same."""

_GENERATED = """
WITH drawn AS (
    SELECT a.attrelid, a.attnum FROM pg_attribute a
    LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
    LEFT JOIN pg_depend s ON s.classid = 'pg_attrdef'::regclass AND s.objid = d.oid
        AND s.refobjid IN (SELECT oid FROM pg_class WHERE relkind = 'S')
    WHERE a.attnum > 0 AND (a.attidentity <> '' OR s.refobjid IS NOT NULL)
)
SELECT c.relname, a.attname, c.relname, a.attname FROM drawn
JOIN pg_class c ON c.oid = drawn.attrelid
JOIN pg_attribute a ON (a.attrelid, a.attnum) = (drawn.attrelid, drawn.attnum)
WHERE c.relnamespace = 'public'::regnamespace
UNION SELECT c.relname, a.attname, p.relname, pa.attname FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS pair (own, other)
JOIN drawn ON (drawn.attrelid, drawn.attnum) = (k.confrelid, pair.other)
JOIN pg_attribute a ON (a.attrelid, a.attnum) = (k.conrelid, pair.own)
JOIN pg_attribute pa ON (pa.attrelid, pa.attnum) = (k.confrelid, pair.other)
WHERE k.contype = 'f'
"""


def uuids(contents: Mapping[str, Any]) -> frozenset[str]:
    """All UUIDs in a state."""
    return frozenset(UUID.findall(json.dumps(contents)))


def without_times(row: Mapping[str, Any], known: frozenset[str]) -> str:
    """A row as a text, without times and without UUIDs that are not known."""
    text = TIME.sub("T", json.dumps(row, sort_keys=True))
    return UUID.sub(lambda match: match[0] if match[0] in known else "new", text)


def by_generated_keys(database: Database, starting: Mapping[str, Rows]) -> Normalize:
    """The rule for any schema, with the rows of the starting state."""
    known = uuids(starting)
    keys: dict[str, dict[str, frozenset[Any]]] = {}
    for table, column, of_table, of_column in database.query(_GENERATED):
        values = frozenset(row[of_column] for row in starting.get(of_table, ()))
        keys.setdefault(table, {})[column] = values

    def normalize(table: str, rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
        generated = keys.get(table, {})
        return tuple(
            sorted(
                without_times(
                    {
                        name: "new" if name in generated and value not in (None, *generated[name]) else value
                        for name, value in row.items()
                    },
                    known,
                )
                for row in rows
            )
        )

    return normalize
