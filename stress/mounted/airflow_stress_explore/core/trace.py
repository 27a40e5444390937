"""What has happened in a schedule, as far as its order matters.

Two prefixes of schedules whose traces have one signature differ in the order of independent steps only (Mazurkiewicz),
and lead to one state. What a step accesses is the engine's to say: this module asks only whether two accesses conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Access(Protocol):
    """What a step reads, locks and writes. Two accesses of the same kind and content must be equal."""

    @property
    def only_reads(self) -> bool:
        """Whether the step is a read that takes no lock."""

    def conflicts(self, other: Any) -> bool:
        """Whether the order of two steps of two actors can matter. In doubt True."""


Step = tuple[str, Access]
"""The next step of an actor: its text (a statement, COMMIT, ROLLBACK), and what it accesses."""

Event = tuple[str, str, Access]
"""What happened to an actor besides its steps: it was granted a lock, or its statement was ended."""

UNPREDICTABLE = "unpredictable: "
"""Begins the text of an event that may happen to another actor the next time, such as to be a deadlock's victim."""


def granted(actor: str, step: Step) -> Event:
    """The actor blocked, so its statement takes effect when the lock is granted, not when it was issued."""
    return (actor, f"granted: {step[0]}", step[1])


class Trace:
    """A schedule's prefix: for each actor a hash of its last step.

    The hash is made of the step, of the actor's step before it, and of all earlier steps of others that it conflicts
    with.
    """

    def __init__(self) -> None:
        self._events: list[tuple[str, Access, int]] = []
        self.last: dict[str, int] = {}

    def after(self, actor: str, what: str, access: Access) -> int:
        """The hash of a step if it were taken now."""
        conflicts = access.conflicts
        before = sorted(hash_ for other, its, hash_ in self._events if other != actor and conflicts(its))
        return hash((actor, what, self.last.get(actor, 0), tuple(before)))

    def add(self, actor: str, what: str, access: Access) -> int:
        """The step is taken; gives its hash."""
        hash_ = self.after(actor, what, access)
        self._events.append((actor, access, hash_))
        self.last[actor] = hash_
        return hash_

    def follow(self, actor: str, step: Step, events: Iterable[Event]) -> None:
        """An actor took its step, and these events happened."""
        self.add(actor, *step)
        for event in events:
            self.add(*event)

    def signature(self, turn: str, then: tuple[str, str, Access] | None = None) -> int:
        """Of this prefix and the actor with the turn, or of the prefix with one more step."""
        last = self.last
        if then is not None:
            last = {**last, then[0]: self.after(*then)}
        return hash((turn, tuple(sorted(last.items()))))

    def copy(self) -> Trace:
        """A trace that continues independently."""
        other = Trace()
        other._events = self._events.copy()
        other.last = self.last.copy()
        return other


@dataclass(frozen=True)
class State:
    """Where the actors are after the steps of a trace. An actor in neither mapping is done."""

    trace: Trace
    runnable: Mapping[str, Step]
    blocked: Mapping[str, Step] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """Where the actors were before a choice, or at the end of a schedule."""

    runnable: Mapping[str, Step]
    blocked: Mapping[str, Step]
    events: tuple[Event, ...]
    """What happened since the choice before."""
