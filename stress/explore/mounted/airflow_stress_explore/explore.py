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

What this can't see: values in Python that one actor leaves for another in this process, and statements whose text is
the same but whose effect depends on the time of day.
"""

from __future__ import annotations

import heapq
import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from airflow_stress_explore.engine import Abandoned, Actor, Engine, Step
from airflow_stress_explore.footprint import Touch, dependent

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


def next_by_rule(standing: Sequence[Actor], current: Actor | None) -> Actor:
    """Whoever has the turn keeps it, else the first by name."""
    if current is not None and current in standing:
        return current
    return min(standing, key=lambda actor: actor.name)


class Trace:
    """What has happened in a schedule so far, as far as order matters."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Touch, int]] = []
        self.last: dict[str, int] = {}

    def after(self, actor: str, what: str, touch: Touch) -> int:
        """The hash of a step if it came now."""
        before = sorted(hash_ for other, its, hash_ in self._events if other != actor and dependent(its, touch))
        return hash((actor, what, self.last.get(actor, 0), tuple(before)))

    def add(self, actor: str, what: str, touch: Touch) -> None:
        """It came."""
        hash_ = self.after(actor, what, touch)
        self._events.append((actor, touch, hash_))
        self.last[actor] = hash_

    def signature(self, turn: str, then: Step | None = None) -> int:
        """Of this beginning, or of it with one more step."""
        last = dict(self.last)
        if then is not None:
            last[then.actor] = self.after(then.actor, then.what, then.touch)
        return hash((turn, tuple(sorted(last.items()))))


@dataclass(order=True)
class _Beginning:
    """A schedule to try: these steps, then the rule."""

    preemptions: int
    length: int
    number: int
    choices: list[str] = field(compare=False)


@dataclass
class Tried:
    """One schedule that was played to its end."""

    schedule: str
    engine: Engine
    diverged: bool


class _Player:
    """The policy: a beginning, then the rule; notes what else could have been chosen, and stops at duplicates."""

    def __init__(self, beginning: _Beginning, search: Search) -> None:
        self.beginning = beginning
        self.search = search
        self.choices: list[str] = []
        self.preemptions = 0
        self.diverged = False
        self.trace = Trace()
        self._seen = 0

    def choose(self, engine: Engine, standing: Sequence[Actor], current: Actor | None) -> Actor:
        self._catch_up(engine)
        position = len(self.choices)
        by_name = {actor.name: actor for actor in standing}
        chosen = next_by_rule(standing, current)
        if position < len(self.beginning.choices):
            wanted = self.beginning.choices[position]
            # After a deadlock the server's choice of a victim may differ from the last time.
            self.diverged |= wanted not in by_name
            chosen = by_name.get(wanted, chosen)
        elif self.search.branching:
            self._consider(by_name, chosen, current)
        if current in standing and chosen is not current:
            self.preemptions += 1
        self.choices.append(chosen.name)
        return chosen

    def _consider(self, by_name: dict[str, Actor], chosen: Actor, current: Actor | None) -> None:
        beyond = current is not None and len(self.choices) > len(self.beginning.choices)
        if beyond and self.search.known(self.trace.signature(self.choices[-1]), self.preemptions):
            self.search.pruned += 1
            raise Abandoned
        for name, actor in by_name.items():
            if actor is chosen or actor.pending is None:
                continue
            cost = self.preemptions + (current is not None and current.name in by_name and actor is not current)
            if cost > self.search.bound:
                continue
            if self.search.known(self.trace.signature(name, actor.pending), cost):
                self.search.pruned += 1
                continue
            self.search.add(cost, [*self.choices, name])

    def kind(self, engine: Engine) -> int:
        """Of a schedule that has ended: the same for all that differ in the order of independent steps only."""
        self._catch_up(engine)
        return self.trace.signature("")

    def _catch_up(self, engine: Engine) -> None:
        for step in engine.steps[self._seen :]:
            self.trace.add(step.actor, step.what, step.touch)
            if step.waited_for is not None:
                # What it does when it is let go comes later than where it was told to.
                self.trace.add(step.actor, f"granted: {step.what}", step.touch)
        self._seen = len(engine.steps)


class Search:
    """All schedules of one pair, in the order of their preemptions."""

    def __init__(self, play: Callable[[_Player], Engine | None], names: Sequence[str], bound: int) -> None:
        """`play` runs the pair under a policy; None if the policy abandoned it. `bound`: preemptions at most."""
        self.bound = bound
        self.branching = True
        self.tried = 0
        self.played = 0
        """With those that were broken off where they turned out to be equivalent to others."""

        self.pruned = 0
        self.exhausted = False
        self._play = play
        self._waiting: list[_Beginning] = []
        self._known: dict[int, int] = {}
        self._kinds: set[int] = set()
        self._numbers = itertools.count()
        for name in names:
            self.add(0, [name])

    def known(self, signature: int, preemptions: int) -> bool:
        """Whether a beginning was reached before with no more preemptions; it is from now on."""
        before = self._known.get(signature)
        if before is not None and before <= preemptions:
            return True
        self._known[signature] = preemptions
        return False

    def add(self, preemptions: int, choices: list[str]) -> None:
        """A beginning to try."""
        heapq.heappush(self._waiting, _Beginning(preemptions, len(choices), next(self._numbers), choices))

    def run(self, budget_s: float) -> Iterator[Tried]:
        """Each schedule that was played to its end, until all were tried or the time is over."""
        end = time.monotonic() + budget_s
        while self._waiting:
            if time.monotonic() > end:
                return
            player = _Player(heapq.heappop(self._waiting), self)
            engine = self._play(player)
            self.played += 1
            if engine is None:
                continue
            if (kind := player.kind(engine)) in self._kinds:
                self.pruned += 1  # two ways to one end, whose turns differed up to there
            else:
                self._kinds.add(kind)
                self.tried += 1
                yield Tried(write(player.beginning.choices), engine, player.diverged)
        self.exhausted = True


def replay(play: Callable[[_Player], Engine | None], schedule: str) -> Tried:
    """One schedule again."""
    search = Search(play, (), 0)
    search.branching = False
    player = _Player(_Beginning(0, 0, 0, read(schedule)), search)
    engine = play(player)
    assert engine is not None  # without branching nothing is abandoned
    return Tried(schedule, engine, player.diverged)
