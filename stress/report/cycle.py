"""The geometry of a deadlock's cycle, for the page to draw as SVG.

::

    ┌───────────┐ waits for ┌─────────────────┐ held by ┌─────────────┐ waits for ┌────────────────┐
    │api-server ├──────────▶│row of dag_run   ├────────▶│scheduler-1  ├──────────▶│row of          │
    │process 41 │           │                 │         │process 40   │           │task_instance   │
    └───────────┘           └─────────────────┘         └─────────────┘           └───────┬────────┘
          ▲                                  held by                                      │
          └───────────────────────────────────────────────────────────────────────────────┘

PostgreSQL logs a cycle in its order: each side waits for what the next side holds, and the last for the first. The
row is named where PostgreSQL or the statement names it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stress.report import text
from stress.results import WitnessTable

_BOX, _GAP, _LEFT, _TOP, _HEIGHT = 208, 74, 8, 8, 64
_RETURN = 40
_MOST_SIDES = 6
_LONGEST = 30  # characters that a box has room for

_COLUMNS = ("component", "waits for", "statement")
_NAMED = re.compile(r"of relation (\w+)")
_OF = re.compile(r" FOR (?:NO KEY )?(?:UPDATE|SHARE|KEY SHARE) OF (\w+)")
_WRITTEN = re.compile(r"^(?:UPDATE(?: ONLY)?|DELETE FROM|INSERT INTO) (\w+)", re.IGNORECASE)
_READ = re.compile(r"\b(?:FROM|JOIN) (\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Box:
    """A process (`actor`) or what it waits for (`row`)."""

    kind: str
    x: int
    y: int
    width: int
    height: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Arrow:
    """An arrow as SVG paths (its line and its head), with its label and where that goes."""

    path: str
    head: str
    label: str
    x: float
    y: float


@dataclass(frozen=True)
class Cycle:
    """All that the drawing needs; lengths in pixels."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    description: str


def of(tables: Sequence[WitnessTable]) -> Cycle | None:
    """The cycle that one of a witness's tables holds, if any does."""
    for table in tables:
        places = {name: table.header.index(name) for name in _COLUMNS if name in table.header}
        if len(places) == len(_COLUMNS) and 2 <= len(table.rows) <= _MOST_SIDES:
            process = next(
                (table.header.index(name) for name in ("server process", "process") if name in table.header), -1
            )
            return _draw([_side(row, places, process) for row in table.rows])
    return None


@dataclass(frozen=True)
class _Side:
    component: str
    process: str
    waits_for: str


def _side(row: Sequence[str], places: dict[str, int], process: int) -> _Side:
    return _Side(
        row[places["component"]],
        f"process {row[process]}" if process >= 0 else "",
        awaited(row[places["waits for"]], row[places["statement"]]),
    )


def awaited(waits_for: str, statement: str) -> str:
    """What a side waits for, in a few words: `row of dag_run`, or `queue of a row of dag_run`.

    A statement that locks the rows of several tables does not show which of them it waits for, so that all are named.
    """
    short = text.elided(statement)
    named = _NAMED.search(waits_for) or _OF.search(short) or _WRITTEN.search(short)
    tables = [named[1]] if named else list(dict.fromkeys(_READ.findall(short)))
    tables = [table for table in tables if not table.isdigit()]
    row = f"row of {' or '.join(tables)}" if tables else "a row"
    return f"queue of a {row}" if " on tuple " in waits_for else row


def _draw(sides: Sequence[_Side]) -> Cycle:
    boxes: list[Box] = []
    for side in sides:
        for kind, lines in (("actor", (side.component, side.process)), ("row", (side.waits_for,))):
            x = _LEFT + len(boxes) * (_BOX + _GAP)
            boxes.append(Box(kind, x, _TOP, _BOX, _HEIGHT, tuple(_cut(line) for line in lines if line)))
    middle = _TOP + _HEIGHT / 2
    arrows = [
        Arrow(
            f"M{box.x + _BOX} {middle:g}H{box.x + _BOX + _GAP - 6}",
            f"M{box.x + _BOX + _GAP - 9} {middle - 4:g}l8 4l-8 4z",
            "waits for" if box.kind == "actor" else "held by",
            box.x + _BOX + _GAP / 2,
            middle - 6,
        )
        for box in boxes[:-1]
    ]
    first, last = boxes[0], boxes[-1]
    low, below = _TOP + _HEIGHT, _TOP + _HEIGHT + _RETURN
    start, end = last.x + _BOX / 2, first.x + _BOX / 2
    back = f"M{start:g} {low}V{below}H{end:g}V{low + 6}"
    arrows.append(Arrow(back, f"M{end - 4:g} {low + 9}l4 -8l4 8z", "held by", (start + end) / 2, below - 6))
    sentences = "; ".join(
        f"{side.component} waits for a {side.waits_for.removeprefix('a ')} that {after.component} holds"
        for side, after in zip(sides, [*sides[1:], sides[0]], strict=True)
    )
    return Cycle(last.x + _BOX + _LEFT, below + _TOP, tuple(boxes), tuple(arrows), f"Cycle: {sentences}.")


def _cut(line: str) -> str:
    line = text.printable(line)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
