"""Verdicts: two arms' block counts in, one decision per race out. Pure; nothing here knows what a race is.

What it promises
----------------
`removed` requires that the control arm showed the race, the arm under test had the same chance to show it and never
did, nothing else became worse, and chance explains that in fewer than 1 of 100 runs, over all the races asked for and
all the looks of the run (`looks.py`), by a permutation of whole blocks (`permutation.py`). In every other case the
state is another:

==========================================  ========================================================================
what was found                              state
==========================================  ========================================================================
the fixes did not load in some process      `unknown`, every race: which code was compared is not known
too many blind blocks                       `unknown`: the counts are lower bounds
incidents under test, p below its level     `reduced`
incidents under test, else                  `remains`. Incidents are proof, with any result of the control
no incidents under test, and
- no opportunity on one of the arms         `unknown`: the race could not have occurred
- none on control                           `unknown`: a race that is not there cannot be removed
- p below the level of a look, but harm     `traded`: the race is gone, and something else is worse (`harm.py`)
- opportunities fell below two thirds       `unknown`: the fix may have starved the race instead of repairing it
- p below the level of a look               `removed`
- else                                      `unknown`, with about how many more minutes it takes
==========================================  ========================================================================

An incident of a blind block of the arm under test still counts: it is proof, even if others were missed. A race that a
look has found removed stays so, unless an incident, harm or starvation is found later: what decides is settled at the
look, with the level of that look.

What it cannot do: the 1 % holds for blocks that are exchangeable between equal arms. `benchmarks/calibration.py` shows
the error rates for incidents that are independent, bursty, block-wise, over-dispersed and drifting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from stress.judge.counts import (
    Usable,
    block_share_upper95,
    count_arm,
    dispersion,
    rate_ratio_upper95,
    unobservable,
    usable_blocks,
)
from stress.judge.evidence import Evidence, blocks_of, gather
from stress.judge.looks import FIRST, level_at, next_look
from stress.judge.permutation import least_p
from stress.judge.wording import at_most, p_clause, shorten
from stress.results import UNIT, ArmCount, BlockCheck, HarmMeasure, RaceState, RaceVerdict, Verdict

STARVED = 2 / 3
"""Opportunities under test per block, relative to control, below which a zero is not a repair."""

_MOST_BLOCKS_AHEAD = 400  # an estimate that needs more blocks than this is of no use
_NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})
_NO_UNITS: Mapping[str, str] = MappingProxyType({})


def judge(
    checks: Sequence[BlockCheck],
    *,
    races: Sequence[str],
    control: str,
    under_test: str,
    harm: Sequence[HarmMeasure] = (),
    block_cost_s: float | None = None,
    unloaded: Mapping[str, Sequence[str]] = _NOTHING,
    interrupted: bool = False,
    units: Mapping[str, str] = _NO_UNITS,
) -> dict[str, RaceVerdict]:
    """Compare `under_test` with `control` for each of `races`, in their order.

    `harm` is what `harm.compare` says of the same blocks. `block_cost_s` is wall-clock seconds that one more block
    takes, set-up and settling included; without it estimates are of load alone. `unloaded` maps an arm to why its fixes
    cannot be trusted to have been there. `interrupted` only changes what the reason of an undecided race says. `units`
    maps a race to what its opportunities are called, in the plural.
    """
    asked = list(dict.fromkeys(races))
    own = [check for check in checks if check.race in asked and check.arm in (control, under_test)]
    unseen = {race: unobservable(own, race) for race in asked}
    usable = usable_blocks([check for check in own if not unseen[check.race]], control, under_test)
    evidence = gather(own, asked, usable, unseen, control, under_test)
    context = _Context(
        control=control,
        under_test=under_test,
        usable=usable,
        worse=tuple(measure for measure in harm if measure.verdict == "worse"),
        distrust=tuple(
            f"{arm}: {why}" for arm in dict.fromkeys((control, under_test)) for why in unloaded.get(arm, ())
        ),
        block_cost_s=block_cost_s,
        interrupted=interrupted,
        units=units,
    )
    return {race: _decide(evidence[race], context) for race in asked}


def judge_all(
    checks: Sequence[BlockCheck],
    races: Sequence[str],
    arms: Sequence[str],
    *,
    harm: Sequence[HarmMeasure] = (),
    block_cost_s: float | None = None,
    unloaded: Mapping[str, Sequence[str]] = _NOTHING,
    interrupted: bool = False,
    units: Mapping[str, str] = _NO_UNITS,
) -> dict[str, RaceVerdict]:
    """The comparison in `results.json`: the last of `arms` against the first, with the counts of all.

    A single arm is its own control: it can only show that a race occurs.
    """
    judged = judge(
        checks,
        races=races,
        control=arms[0],
        under_test=arms[-1],
        harm=harm,
        block_cost_s=block_cost_s,
        unloaded=unloaded,
        interrupted=interrupted,
        units=units,
    )
    return {
        race: replace(verdict, arms={arm: count_arm(blocks_of(checks, race, arm)) for arm in dict.fromkeys(arms)})
        for race, verdict in judged.items()
    }


def overall(verdicts: Mapping[str, RaceVerdict], *, interrupted: bool = False) -> Verdict:
    """The verdict of the run: a race that remains, or is traded, outweighs an undecided one.

    An interrupted run is never a pass (the contract of exit code 2), though its races may each have been decided.
    """
    states = {verdict.verdict for verdict in verdicts.values()}
    if states & {RaceState.REMAINS, RaceState.REDUCED, RaceState.TRADED}:
        return Verdict.FAIL
    if states == {RaceState.REMOVED} and not interrupted:
        return Verdict.PASS
    return Verdict.UNKNOWN


def exit_code(
    verdicts: Mapping[str, RaceVerdict], *, interrupted: bool = False, interrupted_by_signal: int | None = None
) -> int:
    """The process's exit code: 0 all removed, 1 a race remains, is merely reduced, or is traded for harm, 2 unknown.

    Where a signal ended the run before there was any evidence, it is the shell's 128 + signal (130, 143).
    """
    if interrupted_by_signal is not None and not has_evidence(verdicts):
        return 128 + interrupted_by_signal
    ended_early = interrupted or interrupted_by_signal is not None
    return {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 2}[overall(verdicts, interrupted=ended_early)]


def has_evidence(verdicts: Mapping[str, RaceVerdict]) -> bool:
    """Whether anything at all was counted."""
    return any(count.opportunities or count.incidents for v in verdicts.values() for count in v.arms.values())


def decided(verdicts: Mapping[str, RaceVerdict]) -> bool:
    """Whether a run may stop: more of it would not change what it says of any race."""
    return bool(verdicts) and all(verdict.decided_after is not None for verdict in verdicts.values())


@dataclass(frozen=True)
class _Context:
    """What all races of a comparison share."""

    control: str
    under_test: str
    usable: Usable
    worse: tuple[HarmMeasure, ...]
    distrust: tuple[str, ...]
    block_cost_s: float | None
    interrupted: bool
    units: Mapping[str, str]

    def unit(self, race: str) -> str:
        """What an opportunity of this race is called, in the plural."""
        return self.units.get(race, UNIT)


@dataclass(frozen=True)
class _Decision:
    """A row of the table: the state, why, and after how many blocks it was reached (None: it is open)."""

    state: RaceState
    why: str
    decided_after: int | None = None
    more_minutes: float | None = None


def _decide(e: Evidence, context: _Context) -> RaceVerdict:
    """The table of the module's docstring."""
    control, under_test = context.control, context.under_test
    c, t = e.on_control, e.on_test
    trusted = not context.distrust and not e.unseen and context.usable.fault is None
    spread = dispersion(e.control_blocks)
    tested = trusted and e.p is not None
    bound = rate_ratio_upper95(c, t, spread) if tested else None
    numbers = _both(e, context) + _statistics(e, bound, spread)
    decision = (
        _untrusted(e, context)
        or (_with_incidents(e, context, numbers) if t.incidents else None)
        or _incomparable(e, context)
        or _without_incidents(e, context, numbers)
    )
    return RaceVerdict(
        race=e.race,
        verdict=decision.state,
        reason=f"{decision.state}: {decision.why}",
        p_value=e.p.raw if e.p is not None and tested else None,
        p_adjusted=e.p.adjusted if e.p is not None and tested else None,
        rate_ratio_upper95=bound,
        control=control,
        under_test=under_test,
        arms={control: c, under_test: t},
        blocks={control: len(e.control_blocks), under_test: len(e.test_blocks)},
        set_aside=context.usable.set_aside,
        test="permutation" if tested else None,
        dispersion=spread,
        decided_after=decision.decided_after,
        more_minutes=decision.more_minutes,
        unit=context.unit(e.race),
    )


def _both(e: Evidence, context: _Context) -> str:
    return f"{_on_test(e, context)} against {_count(e, context, context.control, e.on_control)}"


def _on_test(e: Evidence, context: _Context) -> str:
    return _count(e, context, context.under_test, e.on_test)


def _count(e: Evidence, context: _Context, arm: str, count: ArmCount) -> str:
    return f"{count.incidents:,} of {count.opportunities:,} {context.unit(e.race)} on {arm}"


def _untrusted(e: Evidence, context: _Context) -> _Decision | None:
    """Why even an incident is no evidence: the code that ran is not known, or the race cannot be observed."""
    if context.distrust:
        why = f"fixes not loaded as asked for ({shorten(context.distrust)}); {_both(e, context)}"
        return _Decision(RaceState.UNKNOWN, why)
    if e.unseen:
        why = f"an observer was blind ({shorten(e.unseen)}), counts are lower bounds: {_both(e, context)}"
        return _Decision(RaceState.UNKNOWN, why)
    return None


def _with_incidents(e: Evidence, context: _Context, numbers: str) -> _Decision:
    """Incidents under test. Whether they are fewer than on control is open until the first look."""
    if context.control == context.under_test:
        why = f"{_on_test(e, context)}; no second arm to compare with"
        return _Decision(RaceState.REMAINS, why, len(e.test_blocks))
    if e.rejected_at is not None:
        return _Decision(RaceState.REDUCED, numbers, e.rejected_at)
    return _Decision(RaceState.REMAINS, numbers, e.first_look_at)


def _incomparable(e: Evidence, context: _Context) -> _Decision | None:
    """Why a zero under test is no evidence; None if the arms can be compared."""
    c, t = e.on_control, e.on_test
    control, under_test = context.control, context.under_test
    why = None
    if control == under_test:
        why = f"{_on_test(e, context)}; no second arm to compare with"
    elif context.usable.fault is not None:
        why = f"{context.usable.fault} ({shorten(context.usable.set_aside)}); {_both(e, context)}"
    elif not c.opportunities or not t.opportunities:
        without = control if not c.opportunities else under_test
        unit = context.unit(e.race)
        why = f"no {unit} on {without}, so the race could not occur there; {_both(e, context)}"
    elif not c.incidents:
        bounds = f"{at_most(c.opportunities)} on {control}, {at_most(t.opportunities)} on {under_test}"
        why = f"not seen on either arm ({_both(e, context)}: {bounds}). No amount of time decides a rate of 0"
    return None if why is None else _Decision(RaceState.UNKNOWN, why)


def _without_incidents(e: Evidence, context: _Context, numbers: str) -> _Decision:
    """No incident under test, some on control: removed, traded, starved, or not yet decided."""
    if e.rejected_at is None:
        missing, more_minutes = _missing(e, context)
        why = ("interrupted, " if context.interrupted else "") + f"{missing}: {numbers}"
        if more_minutes is not None:
            of_load = "" if context.block_cost_s is not None else " of load"
            why += f"; about {max(1, round(more_minutes)):,} more minutes{of_load} would decide"
        return _Decision(RaceState.UNKNOWN, why, None, more_minutes)
    if context.worse:
        harm = "; ".join(f"{measure.measure}: {measure.reason}" for measure in context.worse)
        why = f"gone, but {context.under_test} is worse: {harm}. {numbers}"
        return _Decision(RaceState.TRADED, why, e.rejected_at)
    if e.share is not None and e.share < STARVED:
        unit = context.unit(e.race)
        why = f"{context.under_test} had {e.share:.0%} of the {unit} a block that {context.control} had, too few"
        return _Decision(RaceState.UNKNOWN, f"{why} to compare; {numbers}")
    return _Decision(RaceState.REMOVED, numbers, e.rejected_at)


def _statistics(e: Evidence, bound: float | None, spread: float | None) -> str:
    """The test, its p and what the bounds cover, as the end of a reason."""
    if e.p is None:
        return ""
    blocks = f"{len(e.control_blocks)} + {len(e.test_blocks)} blocks"
    text = f"; {p_clause(e.p.adjusted)} for all races together, by permuting {blocks}"
    if bound is not None:
        clustered = f", with a variance of {spread:.1f} times theirs" if spread is not None and spread > 1 else ""
        text += f"; rate ratio < {bound:.2g} (95 %, for independent incidents{clustered})"
    if not any(seen for seen, _ in e.test_blocks) and e.test_blocks:
        share = block_share_upper95(len(e.test_blocks))
        text += f"; at most {share:.0%} of such blocks would show it (95 %, from {len(e.test_blocks)} without)"
    return text


def _missing(e: Evidence, context: _Context) -> tuple[str, float | None]:
    """What an undecided race lacks, and about how many more minutes that takes at the present rates."""
    n_control, n_test = len(e.control_blocks), len(e.test_blocks)
    usable = n_control + n_test
    if usable < FIRST:
        missing = f"undecided, {FIRST - usable} more blocks until the first look"
    else:
        missing = "undecided, too few blocks of the control show it"
    if not n_control or not n_test:
        return missing, None
    load_s = e.on_control.exposure_s + e.on_test.exposure_s
    block_s = context.block_cost_s if context.block_cost_s is not None else load_s / usable
    clean = sum(1 for seen, _ in e.control_blocks if not seen) / n_control
    look = next_look(usable)
    while look <= usable + _MOST_BLOCKS_AHEAD:
        control = look // 2
        level = level_at(look)
        if level is not None and least_p(control, look - control, math.ceil(clean * control)) <= level:
            return missing, (look - usable) * block_s / 60
        look = next_look(look)
    return missing, None
