"""SQL statements as bounded signatures: what a statement does to which rows, without its values.

`UPDATE task_instance SET updated_at=..., dag_version_id='01a1...' WHERE ...` becomes `UPDATE task_instance SET
dag_version_id`, and a select of forty columns with joins and a row lock becomes `SELECT task_instance, dag_run FOR
UPDATE`. Two statements of one signature come from one place in Airflow's source, as far as the statement alone shows
the place.
"""

from __future__ import annotations

import re

_SPACE = re.compile(r"\s+")
# The last one may have been cut off by the server, before its closing quote.
_STRING = re.compile(r"'(?:[^']|'')*(?:'|\Z)")
_NUMBER = re.compile(r"\b\d+(?:\.\d+)?\b")
_UPDATE = re.compile(r"^UPDATE (?:ONLY )?(\w+) SET (.*?)(?: WHERE |$)", re.IGNORECASE)
_DELETE = re.compile(r"^DELETE FROM (\w+)", re.IGNORECASE)
_INSERT = re.compile(r"^INSERT INTO (\w+)", re.IGNORECASE)
_TABLE = re.compile(r"\b(?:FROM|JOIN) ([a-z_]\w*)", re.IGNORECASE)
_LOCK = re.compile(r"\bFOR (?:NO KEY )?(?:UPDATE|SHARE|KEY SHARE)(?: OF [\w, ]+?)?(?: SKIP LOCKED| NOWAIT)?\s*$", re.I)
_COLUMN = re.compile(r"(?:^|, ?)(\w+)\s*=")

# Written by every update of a row; says nothing about which update it is.
_EVERYWHERE = {"updated_at"}
_MAX_LENGTH = 160


def signature(statement: str) -> str:
    """The bounded signature of a statement; the first of several that were sent together."""
    text = _SPACE.sub(" ", _STRING.sub("?", statement)).strip().split(";")[0]
    if match := _UPDATE.match(text):
        columns = [name for name in _COLUMN.findall(match[2]) if name not in _EVERYWHERE]
        return f"UPDATE {match[1]} SET {', '.join(columns)}"[:_MAX_LENGTH]  # noqa: S608 - it is never executed
    if match := _DELETE.match(text):
        return f"DELETE {match[1]}"
    if match := _INSERT.match(text):
        return f"INSERT {match[1]}"
    if text[:6].upper() == "SELECT":
        tables = list(dict.fromkeys(_TABLE.findall(text)))
        lock = _LOCK.search(text)
        return f"SELECT {', '.join(tables)}{' ' + lock[0].strip() if lock else ''}"[:_MAX_LENGTH]
    return _NUMBER.sub("?", text)[:60]
