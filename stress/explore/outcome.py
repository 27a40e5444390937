"""Whether a race occurs on some code, by its reproducers: a count for each, and the steps of the first play."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stress.errors import StressError
from stress.explore import options
from stress.explore.catalogue import Engine, Race
from stress.explore.options import Arm
from stress.explore.repro import EACH_S, by_reproducer, request_of
from stress.explore.runner import Runner


@dataclass(frozen=True)
class Outcome:
    """What became of one reproducer: it occurred in some of its plays, or `reason` says why it could not be played."""

    reproducer: str
    occurred: int = 0
    plays: int = 0
    reason: str = ""
    first: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The line of the first play, with its steps (`core/protocol.py`); empty without a play."""

    def __str__(self) -> str:
        return self.reason or f"{self.occurred} of {self.plays}"


def outcomes(arm: Arm, reproducers: Sequence[Race], times: int, progress: Callable[[str], None]) -> tuple[Outcome, ...]:
    """Play each reproducer. Code that cannot be run is an outcome without plays, not an error."""
    found: list[Outcome] = []
    for group in _groups(reproducers):
        try:
            found += _played(arm, group, times, progress)
        except StressError as error:
            found += [Outcome(each.name, reason=_first_line(error)) for each in group]
    return tuple(found)


def occurs(found: Sequence[Outcome]) -> bool | None:
    """Whether a race occurs, by all of its reproducers; None if none of them could be played."""
    played = [outcome for outcome in found if outcome.plays]
    return any(outcome.occurred for outcome in played) if played else None


def _groups(reproducers: Sequence[Race]) -> list[list[Race]]:
    """Those of one engine share a process."""
    groups = [[each for each in reproducers if each.engine is engine] for engine in Engine]
    return [group for group in groups if group]


def _played(arm: Arm, group: Sequence[Race], times: int, progress: Callable[[str], None]) -> list[Outcome]:
    runner = Runner(arm.release, arm.fixes, progress, arm.overlay)
    found = []
    lines = runner.ask(request_of(group, times), group[0].engine, budget_s=times * EACH_S * len(group))
    for plays, each in zip(by_reproducer(lines), group, strict=False):
        if plays[-1]["kind"] == "unknown_operation":
            found.append(Outcome(each.name, reason=options.unknown_operation(arm.version, plays[-1])))
            continue
        options.check_fixes(runner.fixes, runner.statuses, each.race)
        schedules = [line for line in plays if line["kind"] == "schedule"]
        found.append(Outcome(each.name, sum(not line["ok"] for line in schedules), len(schedules), first=schedules[0]))
    return found


def _first_line(error: StressError) -> str:
    return str(error).strip().splitlines()[0]
