"""From the cells of two releases to the rows of a table. Pure.

Each race is compared by several ways to see it: its reproducers, and the load. A way says

    remains         it saw the race on both releases
    new             a reproducer did not see it on the previous release, or what it is about was not there, and sees it
                    on this one
    occurs          it sees the race on this release; whether the previous one has it is not known: the reproducer does
                    not support that release, or the load did not meet the race there, which proves nothing
    addressed       it saw the race on the previous release; a reproducer does not see it on this one, or under load the
                    verdict on this one is `removed`
    absent          it does not see the race on this release, and did not on the previous one
    not exercised   it says nothing of this release

and a race is

    remains         if anything saw it on both releases, the same way or another
    new, occurs     if only this release has it
    not exercised   if a reproducer failed on this release; if one that saw the race on the previous release does not
                    support this one, and the verdict under load is not `removed`; if nothing could be exercised
    addressed       if the previous release has it and this one does not
    absent          if neither has it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stress.matrix.cells import ANSWERED, Cell, State, Tried, state_of

LOAD = "load"
"""The name of the way that is no reproducer."""


class Status(StrEnum):
    """What the comparison of two releases says of a race."""

    REMAINS = "remains"
    NEW = "new"
    OCCURS = "occurs"
    ADDRESSED = "addressed"
    ABSENT = "absent"
    NOT_EXERCISED = "not exercised"


PRESENT = (Status.REMAINS, Status.NEW, Status.OCCURS)
"""The states in which this release has the race."""


@dataclass(frozen=True)
class Way:
    """One reproducer, or the load, on both releases."""

    previous: Tried
    this: Tried
    status: Status

    @property
    def name(self) -> str:
        """The reproducer's name, or `load`."""
        return self.this.name


@dataclass(frozen=True)
class Row:
    """A race on both releases."""

    race: str
    issues: tuple[int, ...]
    summary: str
    status: Status
    ways: tuple[Way, ...]

    @property
    def previous(self) -> State:
        """What all ways together say of the previous release."""
        return _state([way.previous for way in self.ways])

    @property
    def this(self) -> State:
        """What all ways together say of this release."""
        return _state([way.this for way in self.ways])


@dataclass(frozen=True)
class UnderLoad:
    """The load on both releases, and whether the verdict on this one is `removed`."""

    previous: Tried
    this: Tried
    removed: bool


def row(
    race: str, issues: Sequence[int], summary: str, previous: Cell, this: Cell, load: UnderLoad | None = None
) -> Row:
    """Compare the cells of a race, and its load if there was any."""
    ways = [Way(old, new, _by_reproducer(old, new)) for old, new in _pairs(previous.tried, this.tried)]
    if load is not None:
        ways.append(Way(load.previous, load.this, _by_load(load)))
    return Row(race, tuple(issues), summary, _together(ways), tuple(ways))


def _pairs(previous: Sequence[Tried], this: Sequence[Tried]) -> list[tuple[Tried, Tried]]:
    by_name: Mapping[str, Tried] = {each.name: each for each in previous}
    return [(by_name[each.name], each) for each in this]


def _state(tried: Sequence[Tried]) -> State:
    """The state of a row's cell. A run under load that failed does not hide the answers of the reproducers."""
    answers = [each for each in tried if each.name != LOAD or each.state is not State.FAILED]
    return state_of(answers or tried)


def _by_reproducer(previous: Tried, this: Tried) -> Status:
    if this.state is State.SEEN:
        found = {State.SEEN: Status.REMAINS, State.NOT_SEEN: Status.NEW, State.NOT_THERE: Status.NEW}
        return found.get(previous.state, Status.OCCURS)
    if this.state in ANSWERED:
        return Status.ADDRESSED if previous.state is State.SEEN else Status.ABSENT
    return Status.NOT_EXERCISED


def _by_load(load: UnderLoad) -> Status:
    if load.this.state is State.SEEN:
        return Status.REMAINS if load.previous.state is State.SEEN else Status.OCCURS
    if load.this.state is State.NOT_SEEN and load.previous.state is State.SEEN:
        return Status.ADDRESSED if load.removed else Status.NOT_EXERCISED
    return Status.ABSENT if load.this.state is State.NOT_SEEN else Status.NOT_EXERCISED


def _together(ways: Sequence[Way]) -> Status:
    statuses = {way.status for way in ways}
    before = any(way.previous.state is State.SEEN for way in ways)
    if any(way.this.state is State.SEEN for way in ways):
        if before:
            return Status.REMAINS
        return Status.NEW if Status.NEW in statuses else Status.OCCURS
    reproducers = [way for way in ways if way.name != LOAD]
    removed_under_load = any(way.name == LOAD and way.status is Status.ADDRESSED for way in ways)
    unanswered = [way for way in reproducers if way.previous.state is State.SEEN and way.this.state not in ANSWERED]
    if any(way.this.state is State.FAILED for way in reproducers) or (unanswered and not removed_under_load):
        return Status.NOT_EXERCISED
    if before:
        # The load alone saw it before, and its verdict is still open: that is no answer.
        return Status.ADDRESSED if Status.ADDRESSED in statuses else Status.NOT_EXERCISED
    return Status.ABSENT if any(way.this.state in ANSWERED for way in ways) else Status.NOT_EXERCISED
