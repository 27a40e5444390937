"""A statement as a schedule table shows it."""

from __future__ import annotations

import re

_LONGEST = 150


def shorten(statement: str) -> str:
    """A statement without its columns and the names of its parameters."""
    text = " ".join(statement.split())
    rest = re.match(r"at row (\d+) of: (\S+)", text)
    if rest is not None:
        return f"(the rest of the {rest[2]}, at row {rest[1]})"
    text = re.sub(r"^SELECT (?:DISTINCT )?.*? FROM ", "SELECT ... FROM ", text)
    text = re.sub(r"^(INSERT INTO \S+) .*$", r"\1 ...", text)
    text = re.sub(r"%\((\w+?)(?:_\d+)?\)s(?:::\w+)?", r":\1", text)
    if len(text) <= _LONGEST:
        return text
    # The locking clause stands at the end.
    end = re.search(r" FOR (?:NO KEY )?(?:UPDATE|SHARE).*$", text)
    tail = end[0] if end else ""
    return text[: _LONGEST - len(tail) - 4] + " ..." + tail
