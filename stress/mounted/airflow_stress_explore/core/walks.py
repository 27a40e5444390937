"""Schedules that are drawn at random, for programs that are too large to try all of their schedules.

    random   at each point each actor that can go on is equally likely. A schedule of k choices among n actors has a
             probability of at least n^-k, which is next to nothing: it finds what most schedules show.
    pct      priorities (Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic
             guarantees of finding bugs", ASPLOS 2010). The actor with the highest priority goes on; at d - 1 steps that
             are drawn the priority of that actor falls below all others. A failure that needs d ordering
             constraints between steps is met with a probability of at least 1 / (n k^(d-1)) in each schedule.

One seed gives one sequence of schedules: schedule number i depends on the seed and on i, and not on how many processes
play. The guarantee of PCT holds for failures of the given depth, and if no schedule has more than k steps; k is taken
from serial orders, and `longest` says whether a schedule had more.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from airflow_stress_explore.core.schedule import encode
from airflow_stress_explore.core.schedulers import Option
from airflow_stress_explore.core.search import Record, Tried, Worker, class_of


class UniformScheduler:
    """Each option is equally likely."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def choose(self, options: Sequence[Option], going: bool, queued: int = 0) -> int:  # noqa: ARG002
        return self._draw.randrange(len(options))


class PctScheduler:
    """Priorities that change at a few steps."""

    def __init__(self, draw: random.Random, names: Sequence[str], depth: int, steps: int) -> None:
        """`depth`: 1 or more; one less priority changes. `steps`: among how many the changes are drawn."""
        order = list(names)
        draw.shuffle(order)
        self._priority = {name: depth + place for place, name in enumerate(order)}
        places = draw.sample(range(1, steps + 1), min(depth - 1, steps))
        self._falls = {step: depth - 1 - number for number, step in enumerate(places)}
        self._step = 0

    def choose(self, options: Sequence[Option], going: bool, queued: int = 0) -> int:  # noqa: ARG002
        self._step += 1
        if self._step in self._falls:
            self._priority[options[self._highest(options)].name] = self._falls[self._step]
        return self._highest(options)

    def _highest(self, options: Sequence[Option]) -> int:
        return max(range(len(options)), key=lambda position: self._priority[options[position].name])


@dataclass(frozen=True)
class Walk:
    """One drawn schedule, before it is played. A worker plays it as it plays a path."""

    names: tuple[str, ...]
    seed: int
    number: int
    depth: int
    """Of PCT; 0 for a uniform walk."""

    steps: int

    def scheduler(self) -> UniformScheduler | PctScheduler:
        """What plays it."""
        draw = random.Random(f"{self.seed}/{self.number}")  # noqa: S311 - the same walk for the same seed
        if self.depth == 0:
            return UniformScheduler(draw)
        return PctScheduler(draw, self.names, self.depth, self.steps)


@dataclass
class Walks:
    """A number of drawn schedules. Iterate over `run` once: gives each class of equivalent schedules once."""

    workers: Sequence[Worker]
    names: Sequence[str]
    schedules: int
    seed: int
    depth: int
    """Of PCT; 0 for uniform walks."""

    steps: int
    """The most steps of a schedule, as far as is known."""

    played: int = 0
    tried: int = 0
    longest: int = 0
    """The most steps of a schedule that was played."""

    exhausted: bool = False
    """Whether all were played before the time was over. It says nothing of schedules that were not drawn."""

    _classes: set[int] = field(default_factory=set)

    @property
    def log_probability(self) -> float:
        """Of meeting a given failure in one schedule: the natural logarithm of the least probability."""
        if self.depth == 0:
            return -self.steps * math.log(len(self.names))
        return -math.log(len(self.names)) - (self.depth - 1) * math.log(self.steps)

    @property
    def probability_of_all(self) -> float:
        """Of meeting a given failure in any of the schedules that were played, at least."""
        return -math.expm1(self.played * math.log1p(-math.exp(self.log_probability))) if self.log_probability else 1.0

    def run(self, budget_s: float) -> Iterator[Tried]:
        """Play them, as many at once as there are workers, and take them in in their order."""
        end = time.monotonic() + budget_s
        numbers = range(self.schedules)
        for first in range(0, self.schedules, len(self.workers)):
            if time.monotonic() > end:
                return
            batch = numbers[first : first + len(self.workers)]
            names = tuple(self.names)
            for worker, number in reversed(list(zip(self.workers, batch, strict=False))):
                worker.start(Walk(names, self.seed, number, self.depth, self.steps))
            for record in [worker.finish() for worker, _ in zip(self.workers, batch, strict=False)]:
                yield from self._take_in(record)
        self.exhausted = True

    def _take_in(self, record: Record) -> Iterator[Tried]:
        self.played += 1
        self.longest = max(self.longest, len(record.choices))
        class_ = class_of(record)
        if class_ not in self._classes:
            self._classes.add(class_)
            self.tried += 1
            yield Tried(encode(record.choices), record)
