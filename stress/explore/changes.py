"""Between which points of a line an outcome changes, asked as seldom as possible. Pure.

A point is a release or a revision; its outcome is whether a race occurs there, or None where that cannot be known (the
code does not import, or a reproducer does not fit it). Between two points that differ, halving finds one change, as
`git bisect` does. Where the ends are alike, a race may still have come and gone: then every point is asked, or, on a
long line, `MOST_SCANNED` of them at equal distances, and halving finds the changes between those that differ.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

MOST_SCANNED = 64


@dataclass(frozen=True)
class Change:
    """The outcome differs between two points; no point between them has a known outcome."""

    before: int
    after: int
    occurs_after: bool


def changes(points: int, occurs: Callable[[int], bool | None]) -> tuple[Change, ...]:
    """The changes on a line of `points` points, in order. Each point is asked at most once."""
    asked: dict[int, bool | None] = {}

    def ask(point: int) -> bool | None:
        if point not in asked:
            asked[point] = occurs(point)
        return asked[point]

    known = [point for point in (0, points - 1) if ask(point) is not None]
    if len(known) == 2 and asked[known[0]] is not asked[known[1]]:
        return (_halve(known[0], known[1], ask),)
    stride = max(1, -(-points // MOST_SCANNED))
    line = [point for point in (*range(0, points - 1, stride), points - 1) if ask(point) is not None]
    return tuple(
        _halve(before, after, ask) for before, after in itertools.pairwise(line) if asked[before] is not asked[after]
    )


def _halve(first: int, last: int, ask: Callable[[int], bool | None]) -> Change:
    while True:
        middle = (first + last) // 2
        # The points between, the middle one first: one of unknown outcome is skipped.
        between = sorted(range(first + 1, last), key=lambda point: abs(point - middle))
        point = next((point for point in between if ask(point) is not None), None)
        if point is None:
            return Change(first, last, bool(ask(last)))
        if ask(point) is ask(first):
            first = point
        else:
            last = point
