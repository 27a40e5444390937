"""Whether a race occurs on some code, by its reproducers: a count for each, without the witness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stress.errors import StressError
from stress.explore import options
from stress.explore.catalogue import Race
from stress.explore.options import Arm
from stress.explore.repro import EACH_S, by_twin
from stress.explore.runner import Runner


@dataclass(frozen=True)
class Outcome:
    """What became of one reproducer: it occurred in some of its plays, or `reason` says why it could not be played."""

    reproducer: str
    occurred: int = 0
    plays: int = 0
    reason: str = ""

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
    """Those of the database share one process; each of the coroutines' has its own."""
    database = [each for each in reproducers if not each.coroutines]
    return [*([database] if database else []), *([each] for each in reproducers if each.coroutines)]


def _played(arm: Arm, group: Sequence[Race], times: int, progress: Callable[[str], None]) -> list[Outcome]:
    runner = Runner(arm.release, arm.fixes, progress, arm.overlay)
    coroutines = group[0].coroutines
    request = (
        {"mode": "repro", "race": group[0].name, "times": times}
        if coroutines
        else {"command": "repro", "twins": [each.name for each in group], "times": times}
    )
    found = []
    lines = runner.ask(request, coroutines=coroutines, budget_s=times * EACH_S * len(group))
    for plays, each in zip(by_twin(lines), group, strict=False):
        if plays[-1]["kind"] == "unknown_operation":
            found.append(Outcome(each.name, reason=options.unknown_operation(arm.version, plays[-1])))
            continue
        options.check_fixes(runner.fixes, runner.statuses, each.race)
        schedules = [line for line in plays if line["kind"] == "schedule"]
        found.append(Outcome(each.name, sum(not line["ok"] for line in schedules), len(schedules)))
    return found


def _first_line(error: StressError) -> str:
    return str(error).strip().splitlines()[0]
