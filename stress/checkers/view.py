"""One block of a history, as checkers look at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from stress import events
from stress.history import Entry, History

E = TypeVar("E", bound=events.Event)


@dataclass(frozen=True)
class Life:
    """One process of a component, from its start to its exit or its successor's start (unix seconds)."""

    component: str
    pid: int
    restarts: int
    start: float
    end: float


@dataclass(frozen=True)
class BlockView:
    """The entries of one block with what every checker asks of them."""

    block: int
    arm: str
    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, history: History, block: int) -> BlockView:
        """The view of a started block."""
        entries = history.of_block(block)
        arm = next((entry.event.arm for entry in entries if isinstance(entry.event, events.BlockStarted)), "")
        return cls(block, arm, entries)

    def all(self, kind: type[E]) -> Iterator[tuple[float, E]]:
        """Every event of a kind with the time of its writing (unix seconds)."""
        for entry in self.entries:
            if isinstance(entry.event, kind):
                yield entry.t, entry.event

    def last(self, kind: type[E]) -> E | None:
        """The newest event of a kind."""
        return next((entry.event for entry in reversed(self.entries) if isinstance(entry.event, kind)), None)

    @cached_property
    def load_started_at(self) -> float | None:
        """Unix seconds, None if the block had no load."""
        return next((t for t, _ in self.all(events.LoadStarted)), None)

    @cached_property
    def load_s(self) -> float:
        """Seconds of load so far."""
        stopped = self.last(events.LoadStopped)
        if stopped is not None:
            return stopped.seconds
        if self.load_started_at is None or not self.entries:
            return 0.0
        return max(0.0, self.entries[-1].t - self.load_started_at)

    @cached_property
    def complete(self) -> bool:
        """Whether the block came to its proper end."""
        ended = self.last(events.BlockEnded)
        return ended is not None and ended.complete

    def at_s(self, t: float) -> float:
        """Seconds of load before the unix time `t`; incidents of the settling time count from the load's start too."""
        return max(0.0, t - self.load_started_at) if self.load_started_at is not None else 0.0

    def blind(self, *observers: str) -> tuple[str, ...]:
        """Why these observers can't be trusted for this block: never up, blind at some time, or the block is cut short.

        A block that still runs has not failed to end: this is asked again when it is over.
        """
        reasons = []
        up = {event.observer for _, event in self.all(events.ObserverUp)}
        for observer in observers:
            gaps = [event.reason for _, event in self.all(events.ObserverBlind) if event.observer == observer]
            if gaps:
                reasons.append(f"block {self.block}: {observer} was blind: {gaps[0]}")
            elif observer not in up:
                reasons.append(f"block {self.block}: {observer} never saw its source")
        ended = self.last(events.BlockEnded)
        if ended is not None and not ended.complete:
            reasons.append(f"block {self.block} was cut short: {ended.reason or 'no reason recorded'}")
        return tuple(reasons)

    def lives(self, role: str) -> list[Life]:
        """The processes of all components of a role (`triggerer` for `triggerer-1` and `triggerer-2`)."""
        lives: list[Life] = []
        last = self.entries[-1].t if self.entries else 0.0
        for t, started in self.all(events.ComponentStarted):
            if role_of(started.component) != role:
                continue
            ends = [
                exited_at
                for exited_at, exited in self.all(events.ComponentExited)
                if exited.component == started.component and exited.pid == started.pid and exited_at >= t
            ]
            ends += [
                successor_at
                for successor_at, successor in self.all(events.ComponentStarted)
                if successor.component == started.component and successor_at > t
            ]
            lives.append(Life(started.component, started.pid, started.restarts, t, min(ends, default=last)))
        return lives


def role_of(component: str) -> str:
    """`scheduler` for `scheduler-2`, `api-server` for `api-server`."""
    head, _, tail = component.rpartition("-")
    return head if tail.isdigit() else component
