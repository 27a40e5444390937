"""What a comparison says of one race. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stress.exits import EXIT_UNKNOWN
from stress.explore.outcome import Outcome
from stress.report.text import without_state
from stress.results import RaceState, RaceVerdict

NOT_SEEN = "not seen"
"""The reproducers of the race occur on neither arm."""


@dataclass(frozen=True)
class Judged:
    """One race: the outcomes of its reproducers on both arms, the load's verdict, and the answer."""

    race: str
    control: tuple[Outcome, ...]
    under_test: tuple[Outcome, ...]
    load: RaceVerdict | None
    state: str
    reason: str


def upper95(plays: int) -> float:
    """The exact one-sided upper 95 % bound (Clopper and Pearson) of a probability after no occurrence."""
    return 1.0 - math.pow(0.05, 1.0 / plays)


def judge(
    race: str, control: Sequence[Outcome], under_test: Sequence[Outcome], load: RaceVerdict | None, *, loaded: bool
) -> Judged:
    """The verdict on one race; `loaded`: a load was started for it."""
    state, reason = _by_reproducers(control, under_test)
    if loaded and state in (RaceState.REMOVED, NOT_SEEN):
        if load is not None and load.verdict is not RaceState.REMOVED:
            state, reason = load.verdict, f"under load: {without_state(load.reason)}"
        elif load is None:
            state, reason = RaceState.UNKNOWN, "the load did not judge it"
        elif state == NOT_SEEN and not control:
            state, reason = RaceState.REMOVED, f"under load: {without_state(load.reason)}"
    return Judged(race, tuple(control), tuple(under_test), load, str(state), reason)


def _by_reproducers(control: Sequence[Outcome], under_test: Sequence[Outcome]) -> tuple[str, str]:
    unplayed = [outcome for outcome in (*control, *under_test) if not outcome.plays]
    before = {outcome.reproducer for outcome in control if outcome.occurred}
    after = {outcome.reproducer for outcome in under_test if outcome.occurred}
    if new := after - before - {outcome.reproducer for outcome in unplayed}:
        return RaceState.REMAINS, f"{', '.join(sorted(new))} occurs under test and not on the control"
    if after:
        gone = before - after
        state = RaceState.REDUCED if gone else RaceState.REMAINS
        return state, f"{', '.join(sorted(after))} still occurs" + (f"; {', '.join(sorted(gone))} not" if gone else "")
    if unplayed:
        return RaceState.UNKNOWN, f"{unplayed[0].reproducer}: {unplayed[0].reason}"
    if not before:
        return NOT_SEEN, "no reproducer occurs on either arm"
    return RaceState.REMOVED, f"{', '.join(sorted(before))} occurred on the control and never under test"


def exit_code(judged: Iterable[Judged], *, asked: bool) -> int:
    """0 all removed, 1 one is left or traded, 2 unknown. A race that is nowhere counts only if it was asked for."""
    states = [each.state for each in judged]
    if any(state in (RaceState.REMAINS, RaceState.REDUCED, RaceState.TRADED) for state in states):
        return 1
    unknown = RaceState.UNKNOWN in states or (asked and NOT_SEEN in states) or RaceState.REMOVED not in states
    return EXIT_UNKNOWN if unknown else 0
