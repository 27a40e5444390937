"""The cost side of a comparison: how each cost of the arm under test differs from the control's, with an interval.

Each cost has one value a block. What is compared is the ratio of the geometric means of the two arms' blocks; the
interval is Student's t with the pooled variance on the logarithms of the values (Bland and Altman, "The use of
transformation when comparing two means", BMJ 312:1153, 1996). The verdict is `~` exactly where the interval covers "no
change", as benchstat writes it; else `worse` or `better`.

*Why the pooled variance.* Two arms of one cluster have about the same noise, and a run gives them equally many blocks,
or one more: then the pooled test keeps its level also where the noise differs, and has two to four degrees of freedom
more than Welch's. *Why not pairs.* In ten stored runs of one arm against itself neighbouring blocks were no more alike
than distant ones (correlation of a block with the next -0.06 on average, -0.11 for independent blocks), so that pairing
only halves the degrees of freedom. *Why not ranks.* With 5 + 4 blocks the least two-sided p of the Mann-Whitney test,
which benchstat uses, is 0.016.

*Level.* 99 % for each cost by itself. A run shows about 14, which vary together, so that a lower level would show some
of them between equal arms too often: docs/explanation/costs.md has the rates.

What it cannot do: the values of blocks that differ for another reason than the arm (another program on the machine
during one block) widen the interval. `harm.py` decides what is harm, from the same blocks, by its own rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import numpy as np
from scipy import stats

from stress.judge.harm import BlockCosts, Measure
from stress.results import CostChange

LEVEL = 0.99
"""Coverage of the interval of one cost."""

LEAST_BLOCKS = 2
"""Blocks of each arm without which there is no interval."""


def changes(
    blocks: Sequence[BlockCosts],
    measures: Sequence[Measure],
    *,
    control: str,
    under_test: str,
    level: float = LEVEL,
) -> tuple[CostChange, ...]:
    """Every cost of the plan, in its order. `blocks` are the usable ones; `level` is the coverage of each interval."""
    if control == under_test:
        return ()
    return tuple(_change(measure, blocks, control, under_test, level) for measure in measures if measure.relative)


def _change(measure: Measure, blocks: Sequence[BlockCosts], control: str, under_test: str, level: float) -> CostChange:
    values = {arm: _values(measure, blocks, arm) for arm in (control, under_test)}
    of_arm = {arm: sum(1 for block in blocks if block.arm == arm) for arm in values}
    unread = sum(of_arm.values()) - sum(map(len, values.values()))
    note = f"not read in {unread} of {sum(of_arm.values())} blocks" if unread else ""
    change = low = high = None
    if not any(values.values()):
        verdict, note = "not measured", ""
    elif min(map(len, values.values())) < LEAST_BLOCKS:
        verdict = "not compared"
        note = note or f"{LEAST_BLOCKS} blocks of each arm are needed"
    elif min(value for each in values.values() for value in each) <= 0:
        verdict, note = "not compared", "0 in some blocks: there is no ratio"
    else:
        low, change, high = _interval(values[control], values[under_test], level)
        verdict = _verdict(measure, low, high)
    return CostChange(
        measure=measure.name,
        unit=measure.unit,
        medians={arm: median(each) if each else None for arm, each in values.items()},
        blocks={arm: len(each) for arm, each in values.items()},
        change=change,
        low=low,
        high=high,
        verdict=verdict,
        margin=measure.margin if measure.harm else None,
        reason=note,
    )


def _values(measure: Measure, blocks: Sequence[BlockCosts], arm: str) -> list[float]:
    readings = (block.readings.get(measure.name) for block in blocks if block.arm == arm)
    return [reading[0] / reading[1] for reading in readings if reading is not None and reading[1] > 0]


def _verdict(measure: Measure, low: float, high: float) -> str:
    if low <= 0 <= high:
        return "~"
    return "worse" if (low > 0) == measure.worse_if_higher else "better"


def _interval(control: Sequence[float], under_test: Sequence[float], level: float) -> tuple[float, float, float]:
    """Lower bound, estimate and upper bound of the change: 0.1 is 10 % more than on control."""
    c, t = np.log(control), np.log(under_test)
    freedom = len(c) + len(t) - 2
    variance = (((c - c.mean()) ** 2).sum() + ((t - t.mean()) ** 2).sum()) / freedom
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance * (1 / len(c) + 1 / len(t)))
    centre = float(t.mean() - c.mean())
    return math.expm1(centre - half), math.expm1(centre), math.expm1(centre + half)
