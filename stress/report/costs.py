"""The table of costs, the same in every format: one row a cost, after benchstat.

::

    cost                          change   stock  fixed    99 % interval        harm
    throughput, task instances/s  ~         28.1   27.4  -12.0 to +9.1 %    no, 20 %
    cpu, s per 1,000 tasks        +31.2 %   49.2   64.6  +9.4 to +57.1 %  worse, 25 %

A measure of harm that is a cost has its row here, and none in the table of harm: `harm` is its verdict there, and the
margin beyond which a difference is harm for any p. `change` is `~` where the interval covers "no change"; that no
difference is harm does not say that none is shown, nor the reverse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stress.judge.ratios import LEVEL
from stress.report import text
from stress.results import CostChange, HarmMeasure, Results

INTERVAL = f"{LEVEL:.0%} interval".replace("%", " %")

MEANING = (
    "Median of each arm's blocks; change of the geometric mean under test, with its interval; "
    "~: the interval covers no change"
)
"""What the columns are, in one sentence without a full stop."""


_BEYOND = 100.0


def header(arms: Sequence[str], *, harm: bool = True) -> list[str]:
    """The names of the columns; the first two are text, the rest numbers."""
    return ["cost", "change", *arms, INTERVAL, *(["harm"] if harm else [])]


def row(cost: CostChange, arms: Sequence[str], harm: Mapping[str, HarmMeasure] | None = None) -> list[str]:
    """The cells of a cost. `harm` is by measure; without it there is no such column."""
    cells = [f"{cost.measure}, {cost.unit}", change(cost), *(text.significant(cost.medians.get(arm)) for arm in arms)]
    return [*cells, interval(cost), *([] if harm is None else [_harm(cost, harm.get(cost.measure))])]


def rows(results: Results) -> list[list[str]]:
    """The table of a run, without its header."""
    arms = [arm.name for arm in results.arms]
    harm = {measure.measure: measure for measure in results.harm}
    return [row(cost, arms, harm) for cost in results.costs]


def harm_alone(results: Results) -> tuple[HarmMeasure, ...]:
    """The measures of harm that are no costs: the table of harm."""
    costs = {cost.measure for cost in results.costs}
    return tuple(measure for measure in results.harm if measure.measure not in costs)


def change(cost: CostChange) -> str:
    """`~`, `+31.2 %`, or why there is none."""
    if cost.change is None or cost.verdict == "~":
        return cost.verdict
    return f"{_percent(cost.change)} %"


def interval(cost: CostChange) -> str:
    """`-12.0 to +9.1 %`; a dash where there is none."""
    if cost.low is None or cost.high is None:
        return text.NONE
    return f"{_percent(cost.low)} to {_percent(cost.high)} %"


def _percent(change: float) -> str:
    """`+31.2`, `+310`; a bound beyond a hundredfold says nothing: it is from two or three noisy blocks."""
    if change >= _BEYOND:
        return f"more than +{100 * _BEYOND:,.0f}"
    return f"{100 * change:+,.{0 if change >= 1 else 1}f}".replace("-", "\N{MINUS SIGN}")


def _harm(cost: CostChange, measure: HarmMeasure | None) -> str:
    """`no, 20 %`: the verdict as harm, and the margin; a dash where it is no measure of harm."""
    if measure is None:
        return text.NONE
    said = "no" if measure.verdict == "~" else measure.verdict
    return said if cost.margin is None else f"{said}, {cost.margin:.0%}".replace("%", " %")
