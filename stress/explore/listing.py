"""The witness of a schedule as a listing for people: the actors side by side, time going down.

A: state_update                                  B: dag_version_refresh
SELECT task_instance ... FOR UPDATE OF
  locks task_instance raced/run/task_0
                                                 SELECT dag_run ... FOR UPDATE OF SKIP LOCKED
                                                   locks dag_run raced/run
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

COLUMN = 58
NARROW = 34
"""Characters of an actor's column; the narrow ones for more than two actors."""

_GAP = 3
_LONGEST = 150


def render(steps: Sequence[dict[str, Any]], width: int | None = None) -> str:
    """The steps as columns, one an actor, in the order in which the actors appear."""
    actors: dict[str, str] = {}
    for step in steps:
        actors.setdefault(step["actor"], step["operation"])
    names = sorted(actors)
    if width is None:
        width = COLUMN if len(names) <= 2 else NARROW
    lines = [_row([f"{name}: {actors[name]}" for name in names], width)]
    lines.append(_row(["-" * min(width, len(f"{name}: {actors[name]}")) for name in names], width))
    for step in steps:
        column = names.index(step["actor"])
        lines += [_row([""] * column + [line], width) for line in _cell(step, width)]
    return "\n".join(lines)


def _row(cells: Sequence[str], width: int) -> str:
    return (" " * _GAP).join(cell.ljust(width) for cell in cells).rstrip()


def _cell(step: dict[str, Any], width: int) -> list[str]:
    lines = textwrap.wrap(shorten(step["what"]), width, subsequent_indent="    ") or [""]
    notes = []
    if step["locks"]:
        notes.append(f"locks {', '.join(step['locks'])}")
    if step["waited_for"]:
        notes.append(f"waits for {step['waited_for']}")
    if step["outcome"] and step["outcome"] not in ("done", "0 rows", "1 rows"):
        notes.append(f"-> {step['outcome']}")
    for note in notes:
        lines += textwrap.wrap(note, width, initial_indent="  ", subsequent_indent="    ")
    return lines


def shorten(statement: str) -> str:
    """A statement without what doesn't matter here: its columns, its parameters' names."""
    text = " ".join(statement.split())
    rest = re.match(r"at row (\d+) of: (\S+)", text)
    if rest is not None:
        return f"(the rest of the {rest[2]}, at row {rest[1]})"
    text = re.sub(r"^SELECT (?:DISTINCT )?.*? FROM ", "SELECT ... FROM ", text)
    text = re.sub(r"^(INSERT INTO \S+) .*$", r"\1 ...", text)
    text = re.sub(r"%\((\w+?)(?:_\d+)?\)s(?:::\w+)?", r":\1", text)
    if len(text) <= _LONGEST:
        return text
    # What locks stands at the end.
    end = re.search(r" FOR (?:NO KEY )?(?:UPDATE|SHARE).*$", text)
    tail = end[0] if end else ""
    return text[: _LONGEST - len(tail) - 4] + " ..." + tail
