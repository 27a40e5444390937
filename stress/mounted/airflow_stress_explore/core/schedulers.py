"""Schedulers: the ways in which the next step is chosen.

A scheduler is asked at each point at which more than one thing could happen next. It is given the options, the default
first, and answers with a position. It knows nothing of what runs. The names are those of Shuttle, loom and Coyote.

    SerialScheduler      the actors one after the other, in a given order
    ReplayByName         given actors, then the default (`sql`: a letter is an actor)
    ReplayByPosition     given positions, then the default (`aio`); keeps the points that it has passed
    ScriptedScheduler    actors that go on until they are about to run a given statement: a reproducer in words
    NamedOptions         options by their names, each as soon as nothing else can go on
    RandomScheduler      a random walk with a bounded number of preemptions
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from airflow_stress_explore.core.schedule import LETTERS, BadSchedule, decode, decode_positions


class Option(Protocol):
    """Something that could happen next."""

    @property
    def name(self) -> str:
        """An actor, or an event from outside."""


class Actor(Option, Protocol):
    """An option that is an actor with a known next step."""

    @property
    def next_step(self) -> str:
        """The text of the step, such as its SQL statement."""


Option_contra = TypeVar("Option_contra", bound=Option, contravariant=True)


class Scheduler(Protocol[Option_contra]):
    """Decides what happens next."""

    def choose(self, options: Sequence[Option_contra], going: bool, queued: int = 0) -> int:
        """The position of one option; 0 is the default.

        `going`: whether the default is to let the same actor go on, so that every other choice is a preemption.
        `queued`: a counter of the engine that the pruning of `aio` compares between points.
        """


class SerialScheduler:
    """One actor after the other, in this order of their names."""

    def __init__(self, order: Sequence[str]) -> None:
        self._order = order

    def choose(self, options: Sequence[Option], going: bool, queued: int = 0) -> int:  # noqa: ARG002
        return min(range(len(options)), key=lambda position: self._order.index(options[position].name))


class ReplayByName:
    """Takes these options by their names, then the default."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._taken = 0
        self.diverged = False
        """A name was not among the options, and the default was taken. After a deadlock the victim may differ."""

    @classmethod
    def of(cls, schedule: str) -> ReplayByName:
        """From a schedule's string. Raises BadSchedule."""
        return cls(decode(schedule))

    def choose(self, options: Sequence[Option], going: bool, queued: int = 0) -> int:  # noqa: ARG002
        at, self._taken = self._taken, self._taken + 1
        if at >= len(self._names):
            return 0
        for position, option in enumerate(options):
            if option.name == self._names[at]:
                return position
        self.diverged = True
        return 0


@dataclass(frozen=True)
class Move:
    """An actor goes on until it is about to run a statement with this in it, or is blocked, or ends."""

    actor: str
    until: str = "end"
    """A regular expression, or one of the words `end` and `blocked`. A blocked actor always loses its turn."""

    @property
    def stops(self) -> bool:
        """Whether it ends before a statement."""
        return self.until not in ("end", "blocked")


class ScriptedScheduler:
    """Follows a script of moves, then the default. A statement that never comes ends a move at the actor's end."""

    def __init__(self, script: Sequence[Move]) -> None:
        self._moves = list(script)
        self._first_stop = next((move for move in script if move.stops), None)

    def choose(self, options: Sequence[Actor], going: bool, queued: int = 0) -> int:  # noqa: ARG002
        positions = {option.name: position for position, option in enumerate(options)}
        while self._moves:
            move = self._moves[0]
            position = positions.get(move.actor)
            if position is not None:
                if not _reached(move, options[position]):
                    return position
                if move is self._first_stop:
                    self._first_stop = None
            self._moves.pop(0)
        return 0

    @property
    def missed(self) -> str:
        """What the script's first stop waited for in vain, in words; empty if the actors interleaved there.

        Later stops may be missed with a repair: an actor then waits for a lock before it comes to one.
        """
        return f"{self._first_stop.actor} did not come to {self._first_stop.until}" if self._first_stop else ""


def _reached(move: Move, actor: Actor) -> bool:
    return move.stops and re.search(move.until, " ".join(actor.next_step.split()), re.IGNORECASE) is not None


@dataclass
class Point:
    """A choice: what the options were, and which was taken."""

    options: tuple[Any, ...]
    going: bool
    queued: int
    taken: int = 0


@dataclass
class ReplayByPosition:
    """Takes these positions, then the default."""

    prefix: bytes = b""
    points: list[Point] = field(default_factory=list)

    @classmethod
    def of(cls, schedule: str) -> ReplayByPosition:
        """From a schedule's string. Raises BadSchedule."""
        return cls(decode_positions(schedule))

    def choose(self, options: Sequence[Option], going: bool, queued: int = 0) -> int:
        at = len(self.points)
        taken = self.prefix[at] if at < len(self.prefix) else 0
        if taken >= len(options):
            raise BadSchedule(
                f"this schedule is of another pair or release: it takes option {LETTERS[taken]} at point {at}, "
                f"where there are {len(options)}"
            )
        self.points.append(Point(tuple(options), going, queued, taken))
        return taken

    @property
    def choices(self) -> bytes:
        """The positions that were taken, point by point."""
        return bytes(point.taken for point in self.points)

    @property
    def unused(self) -> bool:
        """Whether the run ended before the prefix did, so that the prefix is another program's."""
        return len(self.points) < len(self.prefix.rstrip(b"\0"))


@dataclass
class NamedOptions(ReplayByPosition):
    """Takes options by their names, in this order, each as soon as nothing else can go on."""

    names: tuple[str, ...] = ()
    _next: int = 0

    def choose(self, options: Sequence[Option], going: bool, queued: int = 0) -> int:
        taken = 0
        if not going and self._next < len(self.names):
            found = [option.name for option in options]
            if self.names[self._next] in found:
                taken = found.index(self.names[self._next])
                self._next += 1
        self.points.append(Point(tuple(options), going, queued, taken))
        return taken

    @property
    def missed(self) -> str:
        """The first event that did not happen, in words; empty if all of them did."""
        return f"the event {self.names[self._next]!r} did not happen" if self._next < len(self.names) else ""


class RandomScheduler:
    """A random walk: each choice is drawn, with at most so many preemptions. One seed is one walk."""

    def __init__(self, seed: int, preemptions: int, probability: float = 0.3) -> None:
        """`probability`: that an actor that could go on is preempted at a point."""
        self._draw = random.Random(seed)  # noqa: S311 - the same walk for the same seed
        self._left = preemptions
        self._probability = probability

    def choose(self, options: Sequence[Option], going: bool, queued: int = 0) -> int:  # noqa: ARG002
        if not going:
            return self._draw.randrange(len(options))
        if self._left == 0 or len(options) == 1 or self._draw.random() >= self._probability:
            return 0
        self._left -= 1
        return self._draw.randrange(1, len(options))
