"""Harm: what an arm costs. A fix that loses callbacks, answers errors or halves the throughput has removed nothing.

Each measure is compared between the two arms over the same usable blocks as the races. It is `worse` if

- *shown*: the difference has p < 0.01, over all measures together, and is more than the measure's least difference of
  interest; or
- *large*: the pooled difference is beyond the measure's margin, for any p.

`better` is the mirror of *shown*. Everything else is `~`: no difference is shown, which does not mean there is none.

*Test.* Whole blocks are permuted between the arms, as for the races. The statistic of a measure is the correlation of
its block values with the arm; the adjusted p-value is the step-down maxT of Westfall and Young (1993), because measures
of continuous values have no ties: with minP each would have a different best deal, and no p over 12 measures could be
below 12/126 with 5 + 4 blocks. With maxT a clear difference stands out against the best that chance offers to any
measure, and the probability of any false `shown` is at most 1 % where the arms do not differ.

*Values.* A measure is a quotient of two sums in each block (errors per request, CPU seconds per 1,000 task instances).
The pooled value of an arm is the quotient of its sums. A measure without a reading in every block is not compared, and
says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stress.judge.permutation import Floats, deals_of
from stress.judge.wording import p_clause
from stress.results import HarmMeasure

P_SHOWN = 0.01
LEAST_BLOCKS = 3
"""Blocks of each arm before a margin counts: with fewer, one odd block is an arm's whole value."""

_SAME = 1e-9


@dataclass(frozen=True)
class Measure:
    """What is compared, and when a difference is harm.

    `worse_if_higher` is its direction. `margin` and `interest` are relative to the control (0.2 is 20 %) if `relative`,
    else in the measure's own unit. `margin` None: only a shown difference counts. A measure that is not `harm` is never
    judged: it is a cost that reports show (`ratios.py`), as every `relative` one is.
    """

    name: str
    unit: str
    worse_if_higher: bool = True
    margin: float | None = None
    interest: float = 0.0
    relative: bool = False
    harm: bool = True


@dataclass(frozen=True)
class BlockCosts:
    """One block's readings: measure to (numerator, denominator). A measure that was not read is absent."""

    block: int
    arm: str
    readings: Mapping[str, tuple[float, float]]


def compare(
    blocks: Sequence[BlockCosts], measures: Sequence[Measure], *, control: str, under_test: str
) -> tuple[HarmMeasure, ...]:
    """Every measure of harm that was read at all, in the order of `measures`. `blocks`: the usable ones, in order."""
    own = [block for block in blocks if block.arm in (control, under_test)]
    if control == under_test or not own:
        return ()
    judged = [measure for measure in measures if measure.harm]
    read = [measure for measure in judged if any(measure.name in block.readings for block in own)]
    whole = [measure for measure in read if all(_has(block, measure) for block in own)]
    worse, better = _p_values(own, whole, under_test)
    return tuple(
        _judged(
            measure,
            own,
            control,
            under_test,
            (worse.get(measure.name), better.get(measure.name)) if measure in whole else None,
        )
        for measure in read
    )


def _has(block: BlockCosts, measure: Measure) -> bool:
    return block.readings.get(measure.name, (0.0, 0.0))[1] > 0


def _pooled(blocks: Sequence[BlockCosts], measure: Measure, arm: str) -> float | None:
    pairs = [block.readings[measure.name] for block in blocks if block.arm == arm and _has(block, measure)]
    return sum(n for n, _ in pairs) / sum(d for _, d in pairs) if pairs else None


def _p_values(
    blocks: Sequence[BlockCosts], measures: Sequence[Measure], under_test: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Adjusted one-sided p of each measure: that it is worse, and that it is better."""
    test = np.array([block.arm == under_test for block in blocks], dtype=bool)
    rows = [[_quotient(block, measure) for measure in measures] for block in blocks]
    values = np.array(rows, dtype=np.float64).reshape(len(blocks), len(measures))
    varies = [place for place in range(len(measures)) if np.ptp(values[:, place]) > 0]
    if not varies or not test.any() or test.all():
        return {}, {}
    signs = np.array([1.0 if measures[place].worse_if_higher else -1.0 for place in varies])
    towards_worse = _correlations(values[:, varies] * signs, deals_of(test))
    names = [measures[place].name for place in varies]
    return (
        dict(zip(names, _step_down_max(towards_worse), strict=True)),
        dict(zip(names, _step_down_max(-towards_worse), strict=True)),
    )


def _quotient(block: BlockCosts, measure: Measure) -> float:
    numerator, denominator = block.readings[measure.name]
    return numerator / denominator


def _correlations(values: Floats, deals: Floats) -> Floats:
    """Correlation of each measure with the arm, for each deal. Values must vary; a deal gives blocks to both arms."""
    centred = values - values.mean(axis=0)
    arms = deals - deals.mean(axis=1, keepdims=True)
    scale = np.sqrt((centred**2).sum(axis=0)) * np.sqrt((arms**2).sum(axis=1, keepdims=True))
    found: Floats = (arms @ centred) / scale
    return found


def _step_down_max(statistics: Floats) -> list[float]:
    """Westfall and Young's step-down maxT; the first row is the observed one, high values are evidence."""
    order = np.argsort(-statistics[0], kind="stable")
    most = np.maximum.accumulate(statistics[:, order][:, ::-1], axis=1)[:, ::-1]
    p = np.maximum.accumulate([float(np.mean(most[:, i] >= statistics[0, j] - _SAME)) for i, j in enumerate(order)])
    found = [1.0] * len(order)
    for place, column in enumerate(order):
        found[column] = float(p[place])
    return found


def _judged(
    measure: Measure,
    blocks: Sequence[BlockCosts],
    control: str,
    under_test: str,
    p: tuple[float | None, float | None] | None,
) -> HarmMeasure:
    c, t = _pooled(blocks, measure, control), _pooled(blocks, measure, under_test)
    values = {control: c, under_test: t}
    if p is None or c is None or t is None:
        missing = sum(1 for block in blocks if not _has(block, measure))
        return HarmMeasure(
            measure.name, measure.unit, values, "~", None, f"not read in {missing} of {len(blocks)} blocks"
        )
    difference = (t - c) if measure.worse_if_higher else (c - t)
    if measure.relative:
        difference = difference / c if c else (0.0 if difference == 0 else float("inf"))
    per_arm = [sum(1 for block in blocks if block.arm == arm) for arm in (control, under_test)]
    enough = min(per_arm) >= LEAST_BLOCKS
    towards_worse = difference > 0
    p_value = p[0] if towards_worse else p[1]
    shown = p_value is not None and p_value < P_SHOWN
    change = _change(measure, c, t)
    if towards_worse and shown and difference > measure.interest:
        return HarmMeasure(
            measure.name, measure.unit, values, "worse", p_value, f"{change} ({p_clause(p_value or 0.0)})"
        )
    if towards_worse and enough and measure.margin is not None and difference > measure.margin:
        beyond = _amount(measure, measure.margin)
        return HarmMeasure(
            measure.name, measure.unit, values, "worse", p_value, f"{change}, beyond the margin of {beyond}"
        )
    if not towards_worse and shown and -difference > measure.interest:
        return HarmMeasure(measure.name, measure.unit, values, "better", p_value, change)
    return HarmMeasure(measure.name, measure.unit, values, "~", p_value, change)


def _amount(measure: Measure, amount: float) -> str:
    return f"{amount:.0%}" if measure.relative else f"{amount:.3g} {measure.unit}"


def _change(measure: Measure, control: float, under_test: float) -> str:
    """`1.2 -> 1.5 ms (+25 %)`."""
    text = f"{_number(control)} -> {_number(under_test)} {measure.unit}"
    return f"{text} ({under_test / control - 1:+.1%})" if control else text


def _number(value: float) -> str:
    """Three digits, and no exponent above a thousand."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
