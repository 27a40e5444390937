"""A rule: who moves a row from which state to which, under what condition, in which releases, by which function.

A transition is legal if a rule of the release allows it. A rule without a condition is decided by the two states and
the writer's role alone; the others ask the rows and the answers around the change (`Need`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto

from stress.components import Role

Line = tuple[int, int]
"""A release line: (3, 3) for 3.3.2."""

API = str(Role.API_SERVER)
SCHEDULER = str(Role.SCHEDULER)
TRIGGERER = str(Role.TRIGGERER)
ANY_ROLE = "*"

UNKNOWN_ROLE = ""
"""The role of a writer that the feed does not name: it is held against no rule."""


class Need(StrEnum):
    """The condition of a rule beyond its states and its writer."""

    NOTHING = auto()
    KNOWN_WRITER = auto()
    """The feed names the writer: the states alone would allow too much."""

    RUN_ENDED = auto()
    """The run has ended before, or ends in the same transaction."""

    SIBLING_ENDED_BADLY = auto()
    """Another task instance of the run is failed, upstream_failed, skipped or removed."""

    REQUEUED = auto()
    """The same change takes away the scheduler that had queued it."""

    MARK_TASK = auto()
    """A request of a user was in progress that marks a task of the run with this state."""

    MARK_RUN = auto()
    """A request of a user was in progress that marks the run with this state."""

    MARK_RUN_ANY = auto()
    """A request of a user was in progress that marks the run, with any state."""

    CLEAR = auto()
    """A request of a user was in progress that clears a task of the run, or marks one and so clears what follows it."""


MARKS = frozenset({Need.MARK_TASK, Need.MARK_RUN, Need.MARK_RUN_ANY})


@dataclass(frozen=True)
class Rule:
    """`before` to `after` by `role`, as `source` (module and function of Airflow) does it.

    `since` is the first release line that has it, `until` the last one (None: it is still there). `new_attempt`: the
    same change gives the row another id, which ends the attempt.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    role: str
    source: str
    need: Need = Need.NOTHING
    since: Line = (3, 1)
    until: Line | None = None
    new_attempt: bool = False


def line_of(release: str) -> Line:
    """The release line of a version (`3.4.0b2` is of 3.4). Raises ValueError for what is not a version."""
    found = re.match(r"(\d+)\.(\d+)", release)
    if found is None:
        raise ValueError(f"{release!r} is no version of Airflow")
    return int(found[1]), int(found[2])


class Table:
    """The rules of one kind of row in one release line, by the two states."""

    def __init__(self, rules: Iterable[Rule], line: Line, *, new_attempt: bool = False) -> None:
        self.rules: dict[tuple[str, str], list[Rule]] = {}
        self.free: dict[tuple[str, str], frozenset[str]] = {}
        """The roles that need no condition, by states."""
        for rule in rules:
            if rule.new_attempt is not new_attempt or line < rule.since or (rule.until and line > rule.until):
                continue
            for before in rule.before:
                for after in rule.after:
                    if before != after or new_attempt:
                        self.rules.setdefault((before, after), []).append(rule)
        for pair, found in self.rules.items():
            roles = {rule.role for rule in found if rule.need is Need.NOTHING}
            if roles:
                self.free[pair] = frozenset({UNKNOWN_ROLE, *roles, *(_EVERYBODY if ANY_ROLE in roles else ())})

    def allows_freely(self, pair: tuple[str, str], role: str) -> bool:
        """Whether a rule without a condition allows it."""
        roles = self.free.get(pair)
        return roles is not None and role in roles

    def conditional(self, pair: tuple[str, str], role: str) -> list[Rule]:
        """The rules with a condition that this role can have applied."""
        return [
            rule
            for rule in self.rules.get(pair, ())
            if rule.need is not Need.NOTHING and (role in (UNKNOWN_ROLE, rule.role) or rule.role == ANY_ROLE)
        ]


_EVERYBODY = (API, SCHEDULER, TRIGGERER, str(Role.DAG_PROCESSOR))


def sources(tables: Mapping[str, Iterable[Rule]]) -> list[str]:
    """Every source that the rules name, each once."""
    return sorted({rule.source for rules in tables.values() for rule in rules})
