"""What is the same in two states of the database that came to be at different times."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z|\+00)?")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_VOLATILE = frozenset({"duration", "context_carrier", "span_status"})
"""Columns that are never the same twice: times as numbers, and the ids of traces."""


def comparable(rows: Iterable[Mapping[str, Any]], fixed: frozenset[str]) -> list[str]:
    """A table's rows as texts that are the same for two runs that did the same.

    Times become `T`, ids that the starting state (`fixed`) doesn't have become `new`. Left out are numbers that a
    sequence gave, durations, and the trigger's number in the history of task instances. The last is a copy: no foreign
    key refers to that trigger, no code reads it, and the trigger may be gone.
    """
    texts = []
    for row in rows:
        kept = {
            name: ("set" if name == "trigger_id" and value is not None else value)
            for name, value in row.items()
            if name not in _VOLATILE
            and not (name == "id" and isinstance(value, int))
            and not (name == "trigger_id" and "task_instance_id" in row)
        }
        text = _TIME.sub("T", json.dumps(kept, sort_keys=True))
        texts.append(_UUID.sub(lambda match: match[0] if match[0] in fixed else "new", text))
    return sorted(texts)


def ids(contents: Mapping[str, Any]) -> frozenset[str]:
    """All ids of that form in a state."""
    return frozenset(_UUID.findall(json.dumps(contents)))
