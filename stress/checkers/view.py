"""One block of a history, as checkers look at it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from stress import events, feed
from stress.components import role_of
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


Transactions = Callable[[], Iterator[events.TransactionCommitted]]
"""Reads the committed transactions of a block, from the first on, each time that it is called."""


def no_transactions() -> Iterator[events.TransactionCommitted]:
    """The feed of a block without one."""
    return iter(())


EVERYBODY = ("postgres",)
"""Targets of faults that hit every component: all of them work with the database."""


@dataclass(frozen=True)
class FaultSpan:
    """One fault from its injection to its healing (unix seconds; `end` is infinite for one that was never healed)."""

    number: int
    fault: str
    target: str
    start: float
    end: float
    detail: str = ""

    def hits(self, component: str) -> bool:
        """Whether this component can't be expected to work while the fault lasts."""
        return self.target == component or self.target in EVERYBODY


@dataclass(frozen=True)
class BlockView:
    """The entries of one block with what every checker asks of them."""

    block: int
    arm: str
    entries: tuple[Entry, ...]
    transactions: Transactions = no_transactions
    """The change feed, in commit order; raises an error where the stored feed is not whole. Whether there was a feed is
    known from the observer `change_feed` (`blind`)."""

    @classmethod
    def of(cls, history: History, block: int) -> BlockView:
        """The view of a started block."""
        entries = history.of_block(block)
        arm = next((entry.event.arm for entry in entries if isinstance(entry.event, events.BlockStarted)), "")
        return (
            cls(block, arm, entries)
            if history.directory is None
            else cls.in_run(history.directory, block, arm, entries)
        )

    @classmethod
    def in_run(cls, directory: Path, block: int, arm: str, entries: tuple[Entry, ...]) -> BlockView:
        """The view of a block whose feed file is in a run's directory. The block may still run."""
        ended = next((entry.event for entry in entries if isinstance(entry.event, events.FeedEnded)), None)
        expected = ended.transactions if ended is not None else None
        return cls(block, arm, entries, partial(feed.transactions, directory, block, expected))

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

    def took_part(self, observer: str) -> bool:
        """Whether this observer was among the block's, even if it never saw anything."""
        up = {event.observer for _, event in self.all(events.ObserverUp)}
        return observer in up | {event.observer for _, event in self.all(events.ObserverBlind)}

    def paused_s(self, start: float, end: float) -> float:
        """Seconds between two unix times in which the harness did not run either: the machine stood still."""
        return sum(
            max(0.0, min(end, event.at) - max(start, event.at - event.seconds))
            for _, event in self.all(events.HarnessPaused)
        )

    @cached_property
    def faults(self) -> tuple[FaultSpan, ...]:
        """The block's faults, in the order of their injection."""
        healed = {event.number: t for t, event in self.all(events.FaultHealed) if not event.error}
        return tuple(
            FaultSpan(event.number, event.fault, event.target, t, healed.get(event.number, math.inf), event.detail)
            for t, event in self.all(events.FaultInjected)
        )

    def excused(self, component: str, after_s: float) -> list[tuple[float, float]]:
        """When a component need not work: from each fault that hits it until `after_s` seconds after its healing.

        A fault that ends a component leaves it down until its successor starts, which counts as a part of the fault.
        """
        starts = [t for t, event in self.all(events.ComponentStarted) if event.component == component]
        exits = [t for t, event in self.all(events.ComponentExited) if event.component == component]
        spans = []
        for fault in self.faults:
            if not fault.hits(component):
                continue
            end = fault.end
            for gone in exits:
                if fault.start <= gone <= end + after_s:
                    end = max(end, min((t for t in starts if t >= gone), default=math.inf))
            spans.append((fault.start, end + after_s))
        return spans

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


def longest_outside(start: float, end: float, spans: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The longest part of `start` to `end` that none of `spans` covers, as its own start and end."""
    best = (start, start)
    at = start
    for left, right in [*sorted(spans), (end, end)]:
        if min(left, end) - at > best[1] - best[0]:
            best = (at, min(left, end))
        at = max(at, right)
        if at >= end:
            break
    return best
