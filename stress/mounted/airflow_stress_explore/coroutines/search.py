"""All schedules to K preemptions, those with fewer first, equivalent ones left out.

Every schedule is run from the beginning: a prefix of choices, then defaults. The points that a run passed after its
prefix give the prefixes to try next, so that no two runs take the same choices. Two kinds of alternatives are left
out, because the very same steps in the same order come about in another way that is tried:

- an event that only puts a handle at the end of the loop's queue, if until the next point nothing else was put
  there and the event is possible at that point at no higher price: the queue would be the same;
- such an event right after an answer of the supervisor's: the answer is seen at the next poll only, so it may as
  well have come after the event.

Two more are built into the points: an answer is offered only where the loop is about to look at its socket, and
callers that do the same start in the order of their names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from .schedule import Chooser, Point
from .world import GO_ON, Event

Failure = TypeVar("Failure")


@dataclass
class Progress:
    """How far a search came."""

    tried: int = 0
    pruned: int = 0
    failed: int = 0
    exhausted: bool = False
    seconds: float = 0.0
    waiting: int = 0
    """Schedules that are known and not tried yet."""


@dataclass
class Found(Generic[Failure]):
    """A schedule that failed."""

    number: int
    choices: bytes
    preemptions: int
    failures: list[Failure]


@dataclass
class Search(Generic[Failure]):
    """Iterate over it once: gives each failing schedule as it is found. `progress` is current all the time."""

    run: Callable[[Chooser], list[Failure]]
    preemptions: int
    budget_s: float
    progress: Progress = field(default_factory=Progress)
    tick: Callable[[Progress], None] = lambda _: None

    def __iter__(self) -> Iterator[Found[Failure]]:
        began = time.monotonic()
        progress = self.progress
        todo: list[list[bytes]] = [[] for _ in range(self.preemptions + 1)]
        todo[0].append(b"")
        while any(todo):
            progress.seconds = time.monotonic() - began
            progress.waiting = sum(map(len, todo))
            if progress.seconds >= self.budget_s:
                return
            self.tick(progress)
            price = next(number for number, prefixes in enumerate(todo) if prefixes)
            prefix = todo[price].pop()
            chooser = Chooser(prefix)
            failures = self.run(chooser)
            progress.tried += 1
            if chooser.unused:
                raise RuntimeError("a run took another way than the run before it: it is not under control")
            for at in range(len(prefix), len(chooser.points)):
                point = chooser.points[at]
                cost = price + point.going
                for choice in range(1, len(point.options)):
                    if cost > self.preemptions:
                        continue
                    if _equals_a_later_one(chooser.points, at, choice):
                        progress.pruned += 1
                    else:
                        todo[cost].append(chooser.choices[:at] + bytes([choice]))
            if failures:
                progress.failed += 1
                progress.seconds = time.monotonic() - began
                yield Found(progress.tried, chooser.choices.rstrip(b"\0"), price, failures)
        progress.exhausted = True
        progress.waiting = 0
        progress.seconds = time.monotonic() - began


def _equals_a_later_one(points: list[Point], at: int, choice: int) -> bool:
    """Whether another alternative leads to the same steps; see the module's docstring."""
    point = points[at]
    event = point.options[choice]
    if not isinstance(event, Event) or not event.tail:
        return False
    if at:
        before = points[at - 1]
        last = before.options[before.taken]
        if isinstance(last, Event) and last.socket_only:
            return True
    if point.options[point.taken] is not GO_ON or at + 1 == len(points):
        return False
    following = points[at + 1]
    return event in following.options and following.appended == point.appended and following.going <= point.going
