"""The search: every schedule of a few actors with at most K preemptions, each class of equivalent schedules once.

A *preemption* takes the turn from an actor that could go on; taking it from one that is blocked or done is free. Few
preemptions are enough for nearly all known races (Musuvathi and Qadeer, PLDI 2007), and a bound makes the number of
schedules polynomial in the number of steps. Schedules are tried in the order of their preemptions.

**Duplicates.** Two prefixes that differ only in the order of steps that do not conflict lead to the same state, so what
follows has to be tried from one of them only. Each prefix has a signature (`trace.py`; CHESS calls it happens-before
caching). A prefix whose signature (and whose actor with the turn) was reached before with no more preemptions is
pruned. The signature of a prefix is known before its last step is taken, because the next step of each actor is known.
Sleep sets would prune as much, but with a bound they lose schedules.

**Known transitions.** The same hash determines the result of a step: an actor's next step, and whether it is blocked,
follow from what it has done and what of others it depends on. So a prefix is first followed in what is known
(`transitions.py`). Only if that ends at a step with an unknown result is it played; if it reaches a known signature, it
never is. Deadlock victims are not predictable: each victim is its own class of schedule, and the database chooses which
one is met.

Where one step unblocks several actors, the database chooses which of them gets its lock first. This is not a choice of
the schedule: one outcome of such a step is met.

Limits: a value that one actor leaves for another in this process is not seen, nor is a step whose text is the same but
whose effect depends on the time of day. A step with another result than before is counted, and is not predicted again.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.schedule import default_choice, encode
from airflow_stress_explore.core.schedulers import Option, Scheduler
from airflow_stress_explore.core.trace import Seen, State, Trace
from airflow_stress_explore.core.transitions import TransitionCache


@dataclass(frozen=True)
class Verdict:
    """What a schedule that was played came to."""

    failures: Sequence[Failure] = ()
    responses: dict[str, str] = field(default_factory=dict)
    """What each actor's caller got."""


@dataclass(frozen=True)
class Record:
    """A schedule as it was played."""

    choices: Sequence[str]
    seen: Sequence[Seen]
    """Before each choice, and at the end: one more than the choices."""

    diverged: bool
    """A wanted choice was not possible: after a deadlock the victim may differ from the last time."""

    verdict: Any = Verdict()
    """The worker's; the search passes it on."""


class Drawn(Protocol):
    """A schedule that its own scheduler chooses (`walks.py`)."""

    def scheduler(self) -> Scheduler[Option]:
        """What chooses, made anew."""


class Worker(Protocol):
    """Plays schedules, one at a time; several workers play at the same time."""

    def start(self, path: Sequence[str] | Drawn) -> None:
        """Begin to play these choices, then the default ones; or what is drawn."""

    def finish(self) -> Record:
        """Wait for what was started."""


@dataclass(order=True)
class _Prefix:
    """A schedule to try: these choices, then the default ones."""

    preemptions: int
    length: int
    number: int
    choices: list[str] = field(compare=False)
    before: State | None = field(compare=False)
    """Where the last choice is made; None if no schedule has been there."""


@dataclass(frozen=True)
class Tried:
    """One schedule of its class."""

    schedule: str
    record: Record

    @property
    def failures(self) -> Sequence[Failure]:
        """What it violates."""
        failures: Sequence[Failure] = self.record.verdict.failures
        return failures


def class_of(record: Record) -> int:
    """Equal for all schedules that differ in the order of steps that do not conflict."""
    trace = Trace()
    for name, before, after in zip(record.choices, record.seen, record.seen[1:], strict=False):
        trace.follow(name, before.runnable[name], after.events)
    return trace.signature("")


class Search:
    """All schedules of some actors, in the order of their preemptions."""

    def __init__(self, workers: Sequence[Worker], names: Sequence[str], bound: int, *, pruning: bool = True) -> None:
        """`workers`: at least one. `names`: the actors'. `bound`: preemptions at most.

        Without `pruning` every order is played, equivalent ones too: the classes of schedules must be the same.
        """
        self.bound = bound
        self.pruning = pruning
        self.tried = 0
        self.played = 0
        """Includes schedules that turned out to be equivalent to others."""

        self.pruned = 0
        self.exhausted = False
        self.transitions = TransitionCache()
        self._workers = workers
        self._first: State | None = None
        """Where all actors are before their first steps."""

        self._waiting: list[_Prefix] = []
        self._known: dict[int, int] = {}
        self._classes: set[int] = set()
        self._numbers = itertools.count()
        for name in names:
            self._add(0, [name], None)

    @property
    def nondeterministic(self) -> Sequence[str]:
        """Steps whose result differed from that of the same step before; see `TransitionCache`."""
        return self.transitions.nondeterministic

    def run(self, budget_s: float) -> Iterator[Tried]:
        """One schedule of each class, until all were tried or the time is over.

        All workers play at once, then what they saw is taken in, in the order of the schedules: the same search each
        time, however fast each of them is.
        """
        end = time.monotonic() + budget_s
        while batch := list(itertools.islice(self._to_be_played(), len(self._workers))):
            if time.monotonic() > end:
                return
            # The first worker may play in this thread: all others start before it.
            for worker, (_, path) in reversed(list(zip(self._workers, batch, strict=False))):
                worker.start(path)
            for record, (prefix, path) in [
                (worker.finish(), it) for worker, it in zip(self._workers, batch, strict=False)
            ]:
                self.played += 1
                class_ = self._take_in(record, prefix, path)
                if class_ in self._classes:
                    self.pruned += 1
                    continue
                self._classes.add(class_)
                self.tried += 1
                yield Tried(encode(prefix.choices), record)
        self.exhausted = True

    def _to_be_played(self) -> Iterator[tuple[_Prefix, list[str]]]:
        """Prefixes that lead to something unknown, each with the path that leads there."""
        while self._waiting:
            prefix = heapq.heappop(self._waiting)
            path = self._follow_known(prefix)
            if path is not None:
                yield prefix, path

    def _follow_known(self, prefix: _Prefix) -> list[str] | None:
        """Follow a prefix in what is known: as far as it must be played; None if all of it is known."""
        state = (prefix.before or self._first) if self.pruning else None
        path = list(prefix.choices)
        if state is not None and path[-1] not in state.runnable:  # an actor that takes no step at all
            self.pruned += 1
            return None
        while state is not None and (state := self.transitions.after(state, path[-1])) is not None:
            if not state.runnable:
                if state.trace.signature("") not in self._classes:
                    break
                self.pruned += 1
                return None
            if not self._consider(state, path, prefix):
                return None
            path.append(default_choice(state.runnable, path[-1]))
        return path

    def _take_in(self, record: Record, prefix: _Prefix, path: Sequence[str]) -> int:
        """Learn from a schedule that was played, and note what else is to be tried. Gives its class."""
        trace = Trace()
        state = State(trace, record.seen[0].runnable, record.seen[0].blocked)
        self._first = self._first or state
        new = True
        for position, (actor, seen) in enumerate(zip(record.choices, record.seen[1:], strict=True)):
            if new and position >= len(path):
                new = self._consider(state, record.choices[:position], prefix)
            trace = trace.copy()
            trace.follow(actor, state.runnable[actor], seen.events)
            after = State(trace, seen.runnable, seen.blocked)
            self.transitions.learn(state, actor, after, seen.events)
            state = after
        return trace.signature("")

    def _consider(self, state: State, choices: Sequence[str], prefix: _Prefix) -> bool:
        """Note what is to be tried in a state besides the default choice; False if all of that is known.

        `choices`: how the state was reached; they begin with those of `prefix`.
        """
        turn = choices[-1]
        if len(choices) > len(prefix.choices) and self._reached(state.trace.signature(turn), prefix.preemptions):
            self.pruned += 1
            return False
        chosen = default_choice(state.runnable, turn)
        for name, (what, access) in state.runnable.items():
            if name == chosen:
                continue
            cost = prefix.preemptions + (turn in state.runnable and name != turn)
            if cost > self.bound:
                continue
            if self._reached(state.trace.signature(name, (name, what, access)), cost):
                self.pruned += 1
                continue
            self._add(cost, [*choices, name], state)
        return True

    def _reached(self, signature: int, preemptions: int) -> bool:
        """Whether a prefix was reached before with no more preemptions; it is from now on."""
        if not self.pruning:
            return False
        before = self._known.get(signature)
        if before is not None and before <= preemptions:
            return True
        self._known[signature] = preemptions
        return False

    def _add(self, preemptions: int, choices: list[str], before: State | None) -> None:
        heapq.heappush(self._waiting, _Prefix(preemptions, len(choices), next(self._numbers), choices, before))
