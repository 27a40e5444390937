"""Rows of Airflow's tables that are the same in two states that came to be at different times."""

from __future__ import annotations

import re
from collections.abc import Mapping

from airflow_stress_explore.sql.database import Database
from airflow_stress_explore.sql.normalize import Normalize, Rows, uuids, without_times

_VOLATILE = frozenset({"duration", "context_carrier", "span_status"})
"""Columns that are never the same twice: times as numbers, and the ids of traces."""

_DRAWN = frozenset({"trigger_id", "asset_event_id"})
"""Columns that refer to numbers of a sequence: actors that take turns draw them in another order."""

_TRACE = re.compile(r"\b[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\b")
"""The ids of a trace in the text of a callback's request, as W3C Trace Context writes them. A clear draws new ones."""


def for_airflow(_database: Database, starting: Mapping[str, Rows]) -> Normalize:
    """The rule for Airflow's tables, with the rows of the starting state.

    Times become `T`, ids that the starting state does not have become `new`. Left out are numbers that a sequence gave,
    durations, and the trigger's number in the history of task instances. The last is a copy: no foreign key refers to
    that trigger, no code reads it, and the trigger may be gone. Columns that refer to a number that a sequence gave
    (`trigger_id`, and from 3.4 on `asset_event_id` in the queue of asset events) are `set` or null.
    """
    known = uuids(starting)

    def normalize(_table: str, rows: Rows) -> tuple[str, ...]:
        texts = []
        for row in rows:
            kept = {
                name: ("set" if name in _DRAWN and value is not None else value)
                for name, value in row.items()
                if name not in _VOLATILE
                and not (name == "id" and isinstance(value, int))
                and not (name == "trigger_id" and "task_instance_id" in row)
            }
            texts.append(_TRACE.sub("trace", without_times(kept, known)))
        return tuple(sorted(texts))

    return normalize


def row_label(row: Mapping[str, object]) -> str:
    """How a reader identifies a row of Airflow's tables."""
    names = [name for name in ("dag_id", "run_id", "task_id", "name", "key") if row.get(name)]
    if "id" in row and len(names) < 2:
        return str(row["id"])[-12:]
    return "/".join(str(row[name]) for name in names) or str(dict(row))[:60]
