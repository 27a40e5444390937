"""A cell of the matrix: what is known of a race on a release."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class State(StrEnum):
    """What became of a cell, or of one reproducer of it."""

    SEEN = "seen"
    NOT_SEEN = "not seen"
    NOT_THERE = "not there"
    """The release has not yet what the race is about."""

    NOT_EXERCISED = "not exercised"
    FAILED = "failed"


ANSWERED = (State.SEEN, State.NOT_SEEN, State.NOT_THERE)
"""The states that say whether the race occurs."""


class Tried(msgspec.Struct, frozen=True):
    """One way to see a race on a release: a reproducer with its plays, or the load with its opportunities."""

    name: str
    state: State
    occurred: int = 0
    of: int = 0
    """Plays, or opportunities under load."""

    reason: str = ""
    """Why it was not exercised, or how it failed."""

    link: str = ""
    """The listing, or the run's directory, relative to the directory of the results."""

    def __str__(self) -> str:
        if self.state is State.SEEN:
            return f"{self.occurred:,} of {self.of:,}"
        if self.state is State.NOT_SEEN:
            return f"0 of {self.of:,} (< {_percent(bound(self.of))})"
        return str(self.state)


class Cell(msgspec.Struct, frozen=True):
    """A race on a release, by the race's reproducers."""

    race: str
    release: str
    state: State
    tried: tuple[Tried, ...]


def counted(name: str, occurred: int, of: int, link: str = "") -> Tried:
    """What was exercised `of` times, at least once, and occurred in some of them."""
    return Tried(name, State.SEEN if occurred else State.NOT_SEEN, occurred, of, link=link)


def state_of(tried: Sequence[Tried]) -> State:
    """The state of a cell: seen if anything saw the race, else failed if anything failed, else not seen if anything was
    played."""
    states = {each.state for each in tried}
    order = (State.SEEN, State.FAILED, State.NOT_SEEN, State.NOT_THERE)
    return next((state for state in order if state in states), State.NOT_EXERCISED)


def bound(of: int) -> float:
    """The upper 95 % bound of a probability after no occurrence in so many plays (Clopper and Pearson)."""
    return float(1 - 0.05 ** (1 / of))


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"
