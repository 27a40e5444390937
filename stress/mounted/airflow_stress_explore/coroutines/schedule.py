"""Choices, and the short string that plays them again.

A run meets *points*: moments at which more than one thing could happen next. The things are listed in a fixed
order, the first being what happens by default, so that a schedule is one small number a point. Its string only
names the deviations: ``4b1c`` is four defaults, the second thing, one default, the third thing, then defaults to
the end. ``-`` is all defaults.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz"
_TOKEN = re.compile(r"(\d*)([b-z])")


class BadScheduleError(ValueError):
    """The string is no schedule, or none of this pair on this release: its message says what didn't fit."""


def encode(choices: Sequence[int]) -> str:
    """Write choices as a string; defaults at the end are left out."""
    parts: list[str] = []
    defaults = 0
    for choice in choices:
        if choice == 0:
            defaults += 1
        else:
            parts.append(f"{defaults or ''}{LETTERS[choice]}")
            defaults = 0
    return "".join(parts) or "-"


def decode(text: str) -> bytes:
    """Read a schedule's string; `BadScheduleError` if it is none."""
    if text == "-":
        return b""
    choices = bytearray()
    end = 0
    for token in _TOKEN.finditer(text):
        # No run has a point beyond a hundred thousand.
        if token.start() != end or len(token[1]) > 5:
            break
        end = token.end()
        choices.extend(bytes(int(token[1] or 0)))
        choices.append(LETTERS.index(token[2]))
    if end != len(text) or not text:
        raise BadScheduleError(f"{text!r} is no schedule: it looks like '4b1c' (or '-', all defaults)")
    return bytes(choices)


@dataclass
class Point:
    """A moment with a choice: what there was, and what was taken."""

    options: tuple[Any, ...]
    going: bool
    """Whether the one that ran could have gone on: every other choice is a preemption then."""
    appended: int
    """How many handles the main loop had been given so far."""
    taken: int = 0


@dataclass
class Chooser:
    """Takes the choices of a prefix, then the default ever after."""

    prefix: bytes = b""
    points: list[Point] = field(default_factory=list)

    def choose(self, options: Sequence[Any], going: bool, appended: int) -> int:
        """Index of what happens next. Called only where there is a choice."""
        at = len(self.points)
        taken = self.prefix[at] if at < len(self.prefix) else 0
        if taken >= len(options):
            raise BadScheduleError(
                f"this schedule is of another pair or release: it takes choice {LETTERS[taken]!r} at point {at}, "
                f"where there are {len(options)}"
            )
        self.points.append(Point(tuple(options), going, appended, taken))
        return taken

    @property
    def choices(self) -> bytes:
        """What was taken, point by point."""
        return bytes(point.taken for point in self.points)

    @property
    def unused(self) -> bool:
        """Whether the run ended before the prefix did: it was another run's."""
        return len(self.points) < len(self.prefix.rstrip(b"\0"))


@dataclass
class Script(Chooser):
    """Takes named events, in order, each as soon as nothing else can go on: how a twin is told."""

    events: tuple[str, ...] = ()
    _next: int = 0

    def choose(self, options: Sequence[Any], going: bool, appended: int) -> int:
        """Let everything go on that can; then the next named event that is possible."""
        taken = 0
        if not going and self._next < len(self.events):
            names = [str(option) for option in options]
            if self.events[self._next] in names:
                taken = names.index(self.events[self._next])
                self._next += 1
        self.points.append(Point(tuple(options), going, appended, taken))
        return taken
