"""Shrinking: the shortest schedule with the same failure.

A schedule's length is its number of preemptions, then the number of its choices up to the last one that is not the
default, then its number of switches. Two failures are the same if their invariants and details agree once numbers,
ids and the server's choice of a deadlock's victim are left out.

A bounded search needs no shrinking: it tries schedules in the order of their preemptions and choices, so the first one
that it meets of a failure is the shortest (`ShortestOfEach`). A schedule from elsewhere (a random walk) is shrunk in
two stages, both deterministic. First greedily: leave out runs of one actor, and move switches to earlier places, while
the failure stays (compare Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002). Then by a
search of all shorter schedules, in the order of their length, up to a number of plays: what is found first is the
shortest, and if the search ends without finding one, the greedy result is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.schedule import default_choice, encode, runs_of
from airflow_stress_explore.core.search import Record, Search
from airflow_stress_explore.core.workers import InProcessWorker

MOST_PLAYS = 400
"""Plays of the shrinking of one schedule, at most."""

_VARYING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{12}\b|\d+")
_UNPREDICTABLE = frozenset({"deadlock"})
"""Invariants whose detail names what the server chose."""


def kind_of(failure: Failure) -> str:
    """Equal for two failures that are the same one."""
    if failure.invariant in _UNPREDICTABLE:
        return failure.invariant
    return f"{failure.invariant}: {_VARYING.sub('#', failure.detail)}"


@dataclass(frozen=True, order=True)
class Length:
    """How long a schedule is; the shorter of two is the lesser."""

    preemptions: int
    choices: int
    switches: int


@dataclass(frozen=True)
class Shortest:
    """A schedule that fails in the same way as a given one, and no longer one."""

    schedule: str
    length: Length
    kind: str
    plays: int = 0
    """How many schedules were played to find it."""

    proved: bool = True
    """Whether all shorter ones were tried; False if the number of plays ended first."""

    def as_json(self) -> dict[str, Any]:
        """As a line of a process's answer has it."""
        return {"schedule": self.schedule, **asdict(self.length), "plays": self.plays, "proved": self.proved}


def length_of(record: Record) -> Length:
    """The length of a schedule that was played."""
    preemptions = switches = needed = 0
    for at, name in enumerate(record.choices):
        runnable = record.seen[at].runnable
        before = record.choices[at - 1] if at else None
        if name != default_choice(runnable, before):
            needed = at + 1
        if before is not None and name != before:
            switches += 1
            preemptions += before in runnable
    return Length(preemptions, needed, switches)


def forced(record: Record) -> list[str]:
    """The choices up to the last one that is not the default; the first one at least."""
    return list(record.choices[: max(1, length_of(record).choices)])


class ShortestOfEach:
    """The shortest schedule of each kind of failure that was met."""

    def __init__(self, shrinker: Shrinker | None = None) -> None:
        """Without a `shrinker` the first of a kind is the shortest: a search tries shorter schedules first."""
        self._shrinker = shrinker
        self._found: dict[str, Shortest] = {}

    def __iter__(self) -> Iterator[Shortest]:
        """One of each kind."""
        return iter(self._found.values())

    def of(self, record: Record) -> Shortest:
        """The shortest schedule that fails as this one does."""
        kinds = [kind_of(failure) for failure in record.verdict.failures]
        for kind in kinds:
            if kind in self._found:
                return self._found[kind]
        shortest = Shortest(encode(forced(record)), length_of(record), kinds[0], proved=self._shrinker is None)
        if self._shrinker is not None:
            shortest = self._shrinker.shrink(record.choices, kinds[0]) or shortest
        return self._found.setdefault(kinds[0], shortest)


@dataclass
class Shrinker:
    """Shrinks schedules of one testbed."""

    play: Callable[[Sequence[str]], Record]
    """Plays these choices, then the default ones."""

    names: Sequence[str]
    most_plays: int = MOST_PLAYS
    _played: dict[tuple[str, ...], Record] = field(default_factory=dict)

    def shrink(self, choices: Sequence[str], kind: str) -> Shortest | None:
        """The shortest schedule of this kind of failure that begins from these choices; None if they do not fail so."""
        self._left = self.most_plays
        record = self._again(choices)
        if record is None or not _fails(record, kind):
            return None
        record = self._greedily(record, kind)
        shorter, proved = self._searched(record, kind)
        record = shorter or record
        return Shortest(encode(forced(record)), length_of(record), kind, self.most_plays - self._left, proved)

    def _greedily(self, record: Record, kind: str) -> Record:
        while True:
            shorter = next(
                (
                    found
                    for candidate in _candidates(forced(record))
                    if (found := self._again(candidate)) is not None
                    and _fails(found, kind)
                    and length_of(found) < length_of(record)
                ),
                None,
            )
            if shorter is None:
                return record
            record = shorter

    def _searched(self, record: Record, kind: str) -> tuple[Record | None, bool]:
        """A schedule that is shorter, the first in the order of a search; and whether all shorter ones were tried."""
        longest = length_of(record)
        search = Search([InProcessWorker(self._counted)], self.names, longest.preemptions)
        try:
            for tried in search.run(float("inf")):
                found = length_of(tried.record)
                if (found.preemptions, found.choices) >= (longest.preemptions, longest.choices):
                    return None, True
                if _fails(tried.record, kind):
                    return tried.record, True
        except _PlaysEnded:
            return None, False
        return None, True

    def _again(self, choices: Sequence[str]) -> Record | None:
        """The record of a schedule; None if no plays are left."""
        try:
            return self._counted(choices)
        except _PlaysEnded:
            return None

    def _counted(self, choices: Sequence[str]) -> Record:
        """The record of a schedule, which is played at most once. Raises _PlaysEnded."""
        key = tuple(choices)
        if key not in self._played:
            if self._left <= 0:
                raise _PlaysEnded
            self._left -= 1
            self._played[key] = self.play(choices)
        return self._played[key]


class _PlaysEnded(Exception):  # noqa: N818 - it says what happened
    """No plays are left."""


def _fails(record: Record, kind: str) -> bool:
    return any(kind_of(failure) == kind for failure in record.verdict.failures)


def _candidates(choices: Sequence[str]) -> Iterator[list[str]]:
    """Schedules to try in place of one: the shortest first."""
    runs = runs_of(choices)
    for end in range(1, len(runs)):
        yield _spread(runs[:end])
    for gap in range(len(runs) - 1):
        yield _spread([*runs[:gap], *runs[gap + 1 :]])
    for gap, (name, count) in enumerate(runs[:-1]):
        for fewer in range(1, count):
            yield _spread([*runs[:gap], (name, fewer), *runs[gap + 1 :]])


def _spread(runs: Sequence[tuple[str, int]]) -> list[str]:
    return [name for name, count in runs for _ in range(count)]
