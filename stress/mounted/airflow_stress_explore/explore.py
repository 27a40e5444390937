"""The search: every schedule of a few actors with at most K preemptions, each kind once.

A *preemption* takes the turn from an actor that could go on; taking it from one that is blocked or done is free. Few
preemptions are enough for nearly all races that anybody has ever found (Musuvathi and Qadeer, PLDI 2007), and a bound
makes the number of schedules polynomial in the number of steps. Schedules are tried in the order of their preemptions.

A schedule is written as runs of steps, `A4B2A`: A takes four steps, B two, then A goes on; whoever was last goes on
for as long as it can, then the next one by name. Each string is a whole schedule, since that rule decides the rest.

**Duplicates.** Two beginnings that differ only in the order of independent steps (`footprint.py`) lead to the same
state, so what follows has to be tried from one of them only. Each beginning gets a signature: for each actor a hash of
its last step, made of the step, the actor's step before it, and all earlier steps of others that it depends on
(Mazurkiewicz's traces; CHESS calls it happens-before caching). A beginning whose signature (and whose actor with the
turn) was reached before with no more preemptions is not tried. The signature of a beginning is known before its last
step is taken, because that step's statement is. Sleep sets would prune as much, but with a bound they lose schedules.

**Foresight.** The same hash says what comes of a step: an actor's next statement, and whether it is blocked, follow
from what it has done and what of others it depends on. So what one schedule has shown is known of every schedule that
comes to the same step, and a beginning is first followed in what is known (`foresight.py`). Only if that ends at a step
that nobody has taken yet is it played; if it meets a signature that was reached before, it never is. Only the victim of
a deadlock is nobody's to foresee: both are schedules of a kind of their own, and which of them is met is the server's.

What this can't see: values in Python that one actor leaves for another in this process, and statements whose text is
the same but whose effect depends on the time of day. A step that turns out otherwise than foreseen is counted, and is
not foreseen again.
"""

from __future__ import annotations

import heapq
import itertools
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_stress_explore.foresight import Event, Foresight, State, Statement, Trace

_RUN = re.compile(r"([A-Z])(\d*)")


class BadSchedule(ValueError):  # noqa: N818 - it says what is wrong
    """The string is no schedule."""


def write(choices: Sequence[str]) -> str:
    """A schedule's string, from the actors in the order of their steps."""
    runs = [(name, len(list(steps))) for name, steps in itertools.groupby(choices)]
    return "".join(f"{name}{count}" for name, count in runs[:-1]) + (runs[-1][0] if runs else "")


def read(text: str) -> list[str]:
    """The actors in the order of their steps. Raises BadSchedule."""
    if not text or not re.fullmatch(r"(?:[A-Z]\d+)*[A-Z]\d*", text):
        raise BadSchedule(f"{text!r} is no schedule: it looks like A4B2A")
    return [name for name, count in _RUN.findall(text) for _ in range(int(count or 1))]


def next_by_rule(standing: Collection[str], turn: str | None) -> str:
    """Whoever has the turn keeps it, else the first by name."""
    return turn if turn is not None and turn in standing else min(standing)


@dataclass(frozen=True)
class Seen:
    """Where the actors were before a step, or at the end."""

    standing: Mapping[str, Statement]
    blocked: Mapping[str, Statement]
    besides: tuple[Event, ...]
    """What happened since the step before."""


@dataclass(frozen=True)
class Record:
    """A schedule as it was played."""

    choices: Sequence[str]
    seen: Sequence[Seen]
    """Before each choice, and at the end: one more than the choices."""

    diverged: bool
    """A wanted choice was not to be had: after a deadlock the server's victim may differ from the last time."""

    verdict: Any = None
    """What the player says of it; the search passes it on."""


class Player(Protocol):
    """Plays schedules, one at a time; several players play at the same time."""

    def start(self, path: Sequence[str]) -> None:
        """Begin to play these choices, then the rule's."""

    def finish(self) -> Record:
        """Wait for what was started."""


@dataclass(order=True)
class _Beginning:
    """A schedule to try: these steps, then the rule."""

    preemptions: int
    length: int
    number: int
    choices: list[str] = field(compare=False)
    before: State | None = field(compare=False)
    """Where the last one of them is taken; None if nobody has been there yet."""


@dataclass(frozen=True)
class Tried:
    """One schedule of its kind."""

    schedule: str
    record: Record


class Search:
    """All schedules of one pair, in the order of their preemptions."""

    def __init__(self, players: Sequence[Player], names: Sequence[str], bound: int, *, pruning: bool = True) -> None:
        """`players`: at least one. `names`: the actors'. `bound`: preemptions at most.

        Without `pruning` every order is played, also those that are equivalent: it must come to the same kinds.
        """
        self.bound = bound
        self.pruning = pruning
        self.tried = 0
        self.played = 0
        """With those that turned out to be equivalent to others."""

        self.pruned = 0
        self.exhausted = False
        self.foresight = Foresight()
        self._players = players
        self._first: State | None = None
        """Where all actors stand before their first steps."""

        self._waiting: list[_Beginning] = []
        self._known: dict[int, int] = {}
        self._kinds: set[int] = set()
        self._numbers = itertools.count()
        for name in names:
            self._add(0, [name], None)

    def run(self, budget_s: float) -> Iterator[Tried]:
        """One schedule of each kind, until all were tried or the time is over.

        All players play at once, then what they saw is taken in, in the order of the schedules: the same search each
        time, however fast each of them is.
        """
        end = time.monotonic() + budget_s
        while batch := list(itertools.islice(self._to_be_played(), len(self._players))):
            if time.monotonic() > end:
                return
            # The first player may play in this thread: all others start before it.
            for player, (_, path) in reversed(list(zip(self._players, batch, strict=False))):
                player.start(path)
            for record, (beginning, path) in [
                (player.finish(), it) for player, it in zip(self._players, batch, strict=False)
            ]:
                self.played += 1
                kind = self._take_in(record, beginning, path)
                if kind in self._kinds:
                    self.pruned += 1
                    continue
                self._kinds.add(kind)
                self.tried += 1
                yield Tried(write(beginning.choices), record)
        self.exhausted = True

    def _to_be_played(self) -> Iterator[tuple[_Beginning, list[str]]]:
        """Beginnings that lead to something unknown, each with the path that leads there."""
        while self._waiting:
            beginning = heapq.heappop(self._waiting)
            path = self._foresee(beginning)
            if path is not None:
                yield beginning, path

    def _foresee(self, beginning: _Beginning) -> list[str] | None:
        """Follow a beginning in what is known: as far as it must be played; None if all of it is known."""
        state = (beginning.before or self._first) if self.pruning else None
        path = list(beginning.choices)
        while state is not None and (state := self.foresight.after(state, path[-1])) is not None:
            if not state.standing:
                if state.trace.signature("") not in self._kinds:
                    break
                self.pruned += 1
                return None
            if not self._consider(state, path, beginning):
                return None
            path.append(next_by_rule(state.standing, path[-1]))
        return path

    def _take_in(self, record: Record, beginning: _Beginning, path: Sequence[str]) -> int:
        """Learn from a schedule that was played, and note what else is to be tried. Gives its kind."""
        trace = Trace()
        state = State(trace, record.seen[0].standing, record.seen[0].blocked)
        self._first = self._first or state
        new = True
        for position, (actor, seen) in enumerate(zip(record.choices, record.seen[1:], strict=True)):
            if new and position >= len(path):
                new = self._consider(state, record.choices[:position], beginning)
            trace = trace.copy()
            trace.follow(actor, state.standing[actor], seen.besides)
            after = State(trace, seen.standing, seen.blocked)
            self.foresight.learn(state, actor, after, seen.besides)
            state = after
        return trace.signature("")

    def _consider(self, state: State, choices: Sequence[str], beginning: _Beginning) -> bool:
        """Note what else than the rule's choice is to be tried in a state; False if all of that is known.

        `choices`: how it was come to; `beginning` is what they began with.
        """
        turn = choices[-1]
        if len(choices) > len(beginning.choices) and self._reached(state.trace.signature(turn), beginning.preemptions):
            self.pruned += 1
            return False
        chosen = next_by_rule(state.standing, turn)
        for name, (what, touch) in state.standing.items():
            if name == chosen:
                continue
            cost = beginning.preemptions + (turn in state.standing and name != turn)
            if cost > self.bound:
                continue
            if self._reached(state.trace.signature(name, (name, what, touch)), cost):
                self.pruned += 1
                continue
            self._add(cost, [*choices, name], state)
        return True

    def _reached(self, signature: int, preemptions: int) -> bool:
        """Whether a beginning was reached before with no more preemptions; it is from now on."""
        if not self.pruning:
            return False
        before = self._known.get(signature)
        if before is not None and before <= preemptions:
            return True
        self._known[signature] = preemptions
        return False

    def _add(self, preemptions: int, choices: list[str], before: State | None) -> None:
        heapq.heappush(self._waiting, _Beginning(preemptions, len(choices), next(self._numbers), choices, before))
