"""The search of a program whose steps are not known before they run: all choices to K preemptions, fewer first.

Every schedule is run from the beginning: a prefix of choices, then defaults. The points that a run passes after its
prefix give the prefixes to try next, so that no two runs make the same choices. Unlike `search.py` this needs no access
sets: which alternatives are equivalent to others is the engine's rule over points.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.schedule import encode_positions
from airflow_stress_explore.core.schedulers import Point, ReplayByPosition


@dataclass
class Progress:
    """How far a search is."""

    tried: int = 0
    pruned: int = 0
    failed: int = 0
    exhausted: bool = False
    seconds: float = 0.0
    waiting: int = 0
    """Schedules that are known and not tried yet."""


@dataclass(frozen=True)
class Found:
    """A schedule that failed."""

    number: int
    choices: bytes
    preemptions: int
    failures: Sequence[Failure]

    @property
    def schedule(self) -> str:
        """Its string."""
        return encode_positions(self.choices)


def none_is_equivalent(_points: Sequence[Point], _at: int, _choice: int) -> bool:
    """The rule of a search that prunes nothing."""
    return False


@dataclass
class ChoiceSearch:
    """Iterate over it once: gives each failing schedule as it is found. `progress` is current all the time."""

    run: Callable[[ReplayByPosition], Sequence[Failure]]
    preemptions: int
    budget_s: float
    equivalent: Callable[[Sequence[Point], int, int], bool] = none_is_equivalent
    """Whether an alternative at a point leads to the same steps as another one that is tried."""

    tick: Callable[[Progress], None] = lambda _: None
    progress: Progress = field(default_factory=Progress)

    def __iter__(self) -> Iterator[Found]:
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
            cost = next(number for number, prefixes in enumerate(todo) if prefixes)
            prefix = todo[cost].pop()
            scheduler = ReplayByPosition(prefix)
            failures = self.run(scheduler)
            progress.tried += 1
            if scheduler.unused:
                raise RuntimeError("a run took another way than the run before it: it is not under control")
            self._add_alternatives(scheduler, len(prefix), cost, todo)
            if failures:
                progress.failed += 1
                progress.seconds = time.monotonic() - began
                yield Found(progress.tried, scheduler.choices.rstrip(b"\0"), cost, failures)
        progress.exhausted = True
        progress.waiting = 0
        progress.seconds = time.monotonic() - began

    def _add_alternatives(self, scheduler: ReplayByPosition, first: int, spent: int, todo: list[list[bytes]]) -> None:
        choices = scheduler.choices
        for at in range(first, len(scheduler.points)):
            point = scheduler.points[at]
            cost = spent + point.going
            if cost > self.preemptions:
                continue
            for choice in range(1, len(point.options)):
                if self.equivalent(scheduler.points, at, choice):
                    self.progress.pruned += 1
                else:
                    todo[cost].append(choices[:at] + bytes([choice]))
