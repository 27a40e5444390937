"""What a search knows of steps before it runs them.

`TransitionCache` keeps the result of each step. An actor's next step, and whether it is blocked, follow from the hash
of the step in its trace, which contains everything that the step depends on. So the result that one schedule has shown
holds for each schedule that comes to that step. Where an actor is blocked and the step could unblock it, only the very
same state counts as the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow_stress_explore.core.trace import UNPREDICTABLE, Access, Event, State, Step

_Key = TypeVar("_Key", int, tuple[int, str])

_READ = ("a read", None)


@dataclass(frozen=True)
class _Result:
    """The result of a step in a state: where the actors are then, and what else happened."""

    runnable: Mapping[str, Step]
    blocked: Mapping[str, Step]
    events: tuple[Event, ...]

    @property
    def unpredictable(self) -> bool:
        """Whether the same step may have another result."""
        return any(what.startswith(UNPREDICTABLE) for _, what, _ in self.events)

    def without_reads(self) -> tuple[Any, ...]:
        """Equal whichever read is next: an ORM loads the relations of a row in the order of a set."""
        runnable = {name: _READ if step[1].only_reads else step for name, step in self.runnable.items()}
        return runnable, self.blocked, self.events

    def difference(self, other: _Result) -> str:
        """What differs, in words."""
        for name in sorted({*self.runnable, *self.blocked, *other.runnable, *other.blocked}):
            if self._of(name) != other._of(name):
                return f"{name} {self._of(name)}, and another time {other._of(name)}"
        return f"{self._events()}, and another time {other._events()}"

    def _of(self, actor: str) -> str:
        if actor in self.runnable:
            return f"stands before {' '.join(self.runnable[actor][0].split())}"
        return "is blocked" if actor in self.blocked else "is done"

    def _events(self) -> str:
        return "; ".join(f"{actor} was {' '.join(what.split())}" for actor, what, _ in self.events) or "no more"


class TransitionCache:
    """The results of steps that were run."""

    def __init__(self) -> None:
        self.nondeterministic: list[str] = []
        """Steps whose result differed from that of the same step before: such a search may miss schedules."""

        self._of_step: dict[int, _Result] = {}
        """Keyed by step hash. Holds only the stepping actor's next state, for steps that cannot unblock another."""

        self._of_state: dict[tuple[int, str], _Result] = {}
        """Keyed by the signature of the state, and the actor that took the step."""

        self._unsteady: set[int | tuple[int, str]] = set()

    def learn(self, before: State, actor: str, after: State, events: tuple[Event, ...]) -> None:
        """An actor took its step, with this result."""
        whole = _Result(after.runnable, after.blocked, events)
        what, access = before.runnable[actor]
        # Which of several actors gets a lock first is the server's choice.
        steady = sum(its.conflicts(access) for _, its in before.blocked.values()) < 2
        self._note(self._of_state, (before.trace.signature(""), actor), whole, actor, steady=steady)
        others = {name: step for name, step in before.runnable.items() if name != actor}
        # A crash is a step that ends another actor.
        moves_no_other = others == {name: step for name, step in after.runnable.items() if name != actor}
        if _unblocks_no_actor(before, access) and moves_no_other and not whole.unpredictable:
            runnable = {actor: after.runnable[actor]} if actor in after.runnable else {}
            blocked = {actor: after.blocked[actor]} if actor in after.blocked else {}
            own = _Result(runnable, blocked, events)
            self._note(self._of_step, before.trace.after(actor, what, access), own, actor, steady=True)

    def after(self, before: State, actor: str) -> State | None:
        """The state after an actor's step; None if it is not known."""
        what, access = before.runnable[actor]
        result = self._of_state.get((before.trace.signature(""), actor))
        if result is None and _unblocks_no_actor(before, access):
            own = self._of_step.get(before.trace.after(actor, what, access))
            if own is not None:
                others = {name: step for name, step in before.runnable.items() if name != actor}
                result = _Result({**others, **own.runnable}, {**before.blocked, **own.blocked}, own.events)
        if result is None:
            return None
        trace = before.trace.copy()
        trace.follow(actor, before.runnable[actor], result.events)
        return State(trace, result.runnable, result.blocked)

    def _note(self, known: dict[_Key, _Result], key: _Key, result: _Result, actor: str, *, steady: bool) -> None:
        if key in self._unsteady:
            return
        before = known.setdefault(key, result)
        if before != result:
            expected = not steady or before.unpredictable or result.unpredictable
            if not (expected or before.without_reads() == result.without_reads()):
                self.nondeterministic.append(f"after a step of {actor}, {before.difference(result)}")
            self._unsteady.add(key)
            del known[key]


def _unblocks_no_actor(state: State, access: Access) -> bool:
    """Whether a step is sure to leave all blocked actors blocked."""
    return not any(its.conflicts(access) for _, its in state.blocked.values())
