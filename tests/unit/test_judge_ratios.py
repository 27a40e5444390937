"""Ratios of costs: the interval, what `~` means, and how often equal and slower arms are shown with real noise."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.cost_intervals import FEW, SLOWER, Run, costs, is_quiet, is_shown, judged, labelled, number_shown
from stress.judge.harm import BlockCosts, Measure
from stress.judge.ratios import LEVEL, changes
from stress.results import CostChange

TIME = Measure("time", "ms", relative=True, harm=False)
SPEED = Measure("speed", "1/s", worse_if_higher=False, margin=0.2, interest=0.05, relative=True)


def compared(measure: Measure, control: Sequence[float | None], under_test: Sequence[float | None]) -> CostChange:
    pairs = [("a", value) for value in control] + [("b", value) for value in under_test]
    blocks = [
        BlockCosts(number, arm, {} if value is None else {measure.name: (value, 1.0)})
        for number, (arm, value) in enumerate(pairs)
    ]
    [found] = changes(blocks, [measure], control="a", under_test="b")
    return found


def test_the_interval_is_that_of_scipy_s_pooled_test_on_logarithms() -> None:
    control, under_test = [100.0, 110.0, 90.0, 105.0, 98.0], [140.0, 120.0, 150.0, 135.0]
    found = compared(TIME, control, under_test)
    expected = stats.ttest_ind(np.log(under_test), np.log(control)).confidence_interval(LEVEL)
    assert found.low == pytest.approx(math.expm1(expected.low))
    assert found.high == pytest.approx(math.expm1(expected.high))
    assert found.change == pytest.approx(stats.gmean(under_test) / stats.gmean(control) - 1)
    assert found.medians == {"a": 100.0, "b": 137.5}
    assert found.blocks == {"a": 5, "b": 4}


@pytest.mark.parametrize(("measure", "verdict"), [(TIME, "worse"), (SPEED, "better")])
def test_the_direction_of_the_measure_says_what_is_worse(measure: Measure, verdict: str) -> None:
    assert compared(measure, [100, 101, 99], [200, 201, 199]).verdict == verdict


def test_no_difference_is_shown_where_the_interval_covers_it() -> None:
    found = compared(TIME, [100, 120, 80, 100], [110, 130, 85, 105])
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high
    assert found.verdict == "~"


def test_equal_blocks_are_no_difference() -> None:
    assert compared(TIME, [3.0] * 5, [3.0] * 4).verdict == "~"


def test_what_nothing_has_read_is_not_measured() -> None:
    found = compared(TIME, [None] * 3, [None] * 3)
    assert (found.verdict, found.change, found.medians) == ("not measured", None, {"a": None, "b": None})


def test_one_block_of_an_arm_has_no_interval() -> None:
    found = compared(TIME, [1.0, 2.0], [3.0, None])
    assert (found.verdict, found.change, found.medians) == ("not compared", None, {"a": 1.5, "b": 3.0})
    assert found.reason == "not read in 1 of 4 blocks"


def test_a_value_of_0_has_no_ratio() -> None:
    found = compared(TIME, [1.0, 2.0], [0.0, 1.0])
    assert (found.verdict, found.change) == ("not compared", None)


def test_blocks_without_a_reading_are_left_out_and_said() -> None:
    found = compared(TIME, [1.0, 2.0, None], [1.0, 2.0, 3.0])
    assert found.blocks == {"a": 2, "b": 3}
    assert found.reason == "not read in 1 of 6 blocks"
    assert found.change is not None


def test_the_margin_is_that_of_the_harm() -> None:
    assert compared(SPEED, [1, 2], [1, 2]).margin == 0.2
    assert compared(TIME, [1, 2], [1, 2]).margin is None


def test_one_arm_has_no_comparison() -> None:
    assert changes([BlockCosts(0, "a", {"time": (1.0, 1.0)})], [TIME], control="a", under_test="a") == ()


# -- with the noise of real blocks -------------------------------------------------------------------------------------

NOISE: list[Run] = json.loads(Path(__file__).with_name("block_noise.json").read_text())
"""Ten runs of one arm against itself, 9 blocks of 12 s each: 3.2.1, stock, on 2 cores (docs/explanation/costs.md)."""


def test_five_runs_of_an_arm_against_itself_show_at_least_95_percent_of_the_costs_as_unchanged() -> None:
    """Each of the runs with 15 new labels; then 500 times five of these: at most one time in 25 more than 5 % of the
    cells may be shown."""
    rng = np.random.default_rng(3)
    shown = np.array([number_shown(run, rng) for run in 15 * NOISE])
    cells = len(costs(NOISE[0]))
    assert cells == 11
    assert shown.mean() / cells < 0.01
    assert np.mean(rng.choice(shown, (500, 5)).sum(axis=1) > FEW * 5 * cells) <= 0.04


def test_an_arm_that_is_30_percent_slower_is_shown_by_9_blocks_of_a_quiet_machine() -> None:
    quiet = [run for run in NOISE if is_quiet(run)]
    assert len(quiet) == 4
    rng = np.random.default_rng(4)
    assert np.mean([is_shown(run, rng) for run in 15 * quiet]) >= 0.95


def test_an_arm_that_is_30_percent_slower_is_shown_by_18_blocks_of_any_machine() -> None:
    rng = np.random.default_rng(5)
    levelled = [{name: list(np.array(run[name]) / stats.gmean(run[name])) for name in run} for run in NOISE]
    found = []
    for _ in range(60):
        one, other = (levelled[place] for place in rng.choice(len(levelled), 2, replace=False))
        found.append(is_shown({name: one[name] + other[name] for name in one}, rng))
    assert np.mean(found) >= 0.95


def test_a_slower_arm_is_never_shown_as_better() -> None:
    rng = np.random.default_rng(6)
    found = [cost.verdict for run in NOISE for cost in judged(run, labelled(rng, 9), SLOWER)]
    assert "worse" in found
    assert "better" not in found
