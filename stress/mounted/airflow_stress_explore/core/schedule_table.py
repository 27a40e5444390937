"""The steps of a schedule as a table: one column for each actor, time going down.

A: state_update                                  B: dag_version_refresh
SELECT task_instance ... FOR UPDATE OF
  locks task_instance raced/run/task_0
                                                 SELECT dag_run ... FOR UPDATE OF SKIP LOCKED
                                                   locks dag_run raced/run
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

COLUMN = 58
NARROW = 34
"""Characters of an actor's column; the narrow ones for more than two actors."""

_GAP = 3


@dataclass(frozen=True)
class Row:
    """One step, as a reader sees it."""

    actor: str
    operation: str
    what: str
    locks: Sequence[str] = ()
    waited_for: str | None = None
    outcome: str | None = None
    frame: str = ""
    """The line of the code under test (`frames.py`); empty where none is known."""

    def as_json(self) -> dict[str, Any]:
        """The row as a line of a process's answer has it."""
        return asdict(self)


def on_one_line(text: str) -> str:
    """The text of a step without line breaks."""
    return " ".join(text.split())


def render(rows: Sequence[Row], width: int | None = None, shorten: Callable[[str], str] = on_one_line) -> str:
    """The rows as columns, one for each actor, by name. `shorten`: how the text of a step is shown."""
    actors: dict[str, str] = {}
    for row in rows:
        actors.setdefault(row.actor, row.operation)
    names = sorted(actors)
    if width is None:
        width = COLUMN if len(names) <= 2 else NARROW
    lines = [_line([f"{name}: {actors[name]}" for name in names], width)]
    lines.append(_line(["-" * min(width, len(f"{name}: {actors[name]}")) for name in names], width))
    for row in rows:
        column = names.index(row.actor)
        lines += [_line([""] * column + [line], width) for line in _cell(row, width, shorten)]
    return "\n".join(lines)


def _line(cells: Sequence[str], width: int) -> str:
    return (" " * _GAP).join(cell.ljust(width) for cell in cells).rstrip()


def _cell(row: Row, width: int, shorten: Callable[[str], str]) -> list[str]:
    lines = textwrap.wrap(shorten(row.what), width, subsequent_indent="    ") or [""]
    notes = []
    if row.locks:
        notes.append(f"locks {', '.join(row.locks)}")
    if row.waited_for:
        notes.append(f"waits for {row.waited_for}")
    if row.outcome and row.outcome not in ("done", "0 rows", "1 rows"):
        notes.append(f"-> {row.outcome}")
    for note in notes:
        lines += textwrap.wrap(note, width, initial_indent="  ", subsequent_indent="    ")
    return lines
