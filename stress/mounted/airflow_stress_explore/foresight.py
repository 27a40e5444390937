"""What a search knows of schedules before it plays them.

A *trace* is what has happened, as far as order matters: two beginnings whose traces have one signature differ in the
order of independent steps only (Mazurkiewicz), and lead to one state of the database.

`Foresight` keeps what came of each step. An actor's next statement, and whether the step is blocked, follow from the
step's hash, in which is all that it depends on. So what one schedule has shown holds for each that comes to that step.
Where somebody is blocked, and a step could let him go, only the very same state is taken for the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from airflow_stress_explore.footprint import Footprint, Touch, dependent

_Key = TypeVar("_Key", int, tuple[int, str])

Statement = tuple[str, Touch]
"""What an actor stands before: the statement's text, or COMMIT, or ROLLBACK; and what it touches."""


Event = tuple[str, str, Touch]
"""What happened to an actor besides its steps: it had to wait, or the server ended its statement."""


def waited(actor: str, statement: Statement) -> Event:
    """It was blocked: what it does when it is let go comes later than where it was told to."""
    return (actor, f"granted: {statement[0]}", statement[1])


_BY_CHANCE = "ended by the server: 40P01"


def ended(actor: str, sqlstate: str, touch: Touch) -> Event:
    """The server ended its statement. Whom of several it ends for a deadlock is chance."""
    return (actor, f"ended by the server: {sqlstate}", touch)


class Trace:
    """What has happened in a schedule so far, as far as order matters."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Touch, int]] = []
        self.last: dict[str, int] = {}

    def after(self, actor: str, what: str, touch: Touch) -> int:
        """The hash of a step if it came now."""
        before = sorted(hash_ for other, its, hash_ in self._events if other != actor and dependent(its, touch))
        return hash((actor, what, self.last.get(actor, 0), tuple(before)))

    def add(self, actor: str, what: str, touch: Touch) -> int:
        """It came; gives its hash."""
        hash_ = self.after(actor, what, touch)
        self._events.append((actor, touch, hash_))
        self.last[actor] = hash_
        return hash_

    def follow(self, actor: str, statement: Statement, besides: Iterable[Event]) -> None:
        """An actor's step came, and what happened besides."""
        self.add(actor, *statement)
        for event in besides:
            self.add(*event)

    def signature(self, turn: str, then: tuple[str, str, Touch] | None = None) -> int:
        """Of this beginning, or of it with one more step: an actor, its statement, what it touches."""
        last = self.last
        if then is not None:
            last = {**last, then[0]: self.after(*then)}
        return hash((turn, tuple(sorted(last.items()))))

    def copy(self) -> Trace:
        """One that goes on by itself."""
        other = Trace()
        other._events = self._events.copy()
        other.last = self.last.copy()
        return other


@dataclass(frozen=True)
class State:
    """Where the actors are, after the steps of a trace; who is in neither is done."""

    trace: Trace
    standing: Mapping[str, Statement]
    blocked: Mapping[str, Statement] = field(default_factory=dict)


_READ: Statement = ("a plain SELECT", Touch(Footprint()))


@dataclass(frozen=True)
class _Outcome:
    """What came of a step in a state: where the actors are then, and what happened besides."""

    standing: Mapping[str, Statement]
    blocked: Mapping[str, Statement]
    besides: tuple[Event, ...]

    @property
    def by_chance(self) -> bool:
        """It could have come otherwise."""
        return any(what == _BY_CHANCE for _, what, _ in self.besides)

    def but_for_reads(self) -> _Outcome:
        """The same whichever plain SELECT comes next: an ORM loads what belongs to a row in the order of a set."""
        standing = {
            name: _READ if touch == Touch(Footprint(touch.footprint.reads)) else (what, touch)
            for name, (what, touch) in self.standing.items()
        }
        return _Outcome(standing, self.blocked, self.besides)

    def but_in(self, other: _Outcome) -> str:
        """What differs, in words."""
        for name in sorted({*self.standing, *self.blocked, *other.standing, *other.blocked}):
            if self._of(name) != other._of(name):
                return f"{name} {self._of(name)}, and another time {other._of(name)}"
        return f"{self._also()}, and another time {other._also()}"

    def _of(self, actor: str) -> str:
        if actor in self.standing:
            return f"stands before {' '.join(self.standing[actor][0].split())}"
        return "is blocked" if actor in self.blocked else "is done"

    def _also(self) -> str:
        return "; ".join(f"{actor} was {' '.join(what.split())}" for actor, what, _ in self.besides) or "no more"


class Foresight:
    """What came of steps that were taken."""

    def __init__(self) -> None:
        self.surprises: list[str] = []
        """Steps that came to something else than the same step before: with those, a search may miss schedules."""

        self._next: dict[int, _Outcome] = {}
        """By a step's hash: of its own actor alone, where nobody else can have been let go by it."""

        self._taken: dict[tuple[int, str], _Outcome] = {}
        """By a state's signature, and who took the step."""

        self._unsteady: set[int | tuple[int, str]] = set()

    def learn(self, before: State, actor: str, after: State, besides: tuple[Event, ...]) -> None:
        """An actor took its step, and this came of it."""
        whole = _Outcome(after.standing, after.blocked, besides)
        self._note(self._taken, (before.trace.signature(""), actor), whole, actor)
        what, touch = before.standing[actor]
        if _lets_nobody_go(before, touch) and not whole.by_chance:
            standing = {actor: after.standing[actor]} if actor in after.standing else {}
            blocked = {actor: after.blocked[actor]} if actor in after.blocked else {}
            own = _Outcome(standing, blocked, besides)
            self._note(self._next, before.trace.after(actor, what, touch), own, actor)

    def after(self, before: State, actor: str) -> State | None:
        """What will come of an actor's step; None if that is not known."""
        what, touch = before.standing[actor]
        outcome = self._taken.get((before.trace.signature(""), actor))
        if outcome is None and _lets_nobody_go(before, touch):
            own = self._next.get(before.trace.after(actor, what, touch))
            if own is not None:
                others = {name: statement for name, statement in before.standing.items() if name != actor}
                outcome = _Outcome({**others, **own.standing}, {**before.blocked, **own.blocked}, own.besides)
        if outcome is None:
            return None
        trace = before.trace.copy()
        trace.follow(actor, before.standing[actor], outcome.besides)
        return State(trace, outcome.standing, outcome.blocked)

    def _note(self, known: dict[_Key, _Outcome], key: _Key, outcome: _Outcome, actor: str) -> None:
        if key in self._unsteady:
            return
        before = known.setdefault(key, outcome)
        if before != outcome:
            if not (before.by_chance or outcome.by_chance or before.but_for_reads() == outcome.but_for_reads()):
                self.surprises.append(f"after a step of {actor}, {before.but_in(outcome)}")
            self._unsteady.add(key)
            del known[key]


def _lets_nobody_go(state: State, touch: Touch) -> bool:
    """Whether a step is sure to leave all that are blocked where they are."""
    return not any(dependent(its, touch) for _, its in state.blocked.values())
