"""What the statistics promise for all inputs, and how they behave over many simulated runs."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stress.results import BlockCheck, Incident, RaceState, Witness
from stress.verdict import ALPHA, dispersion, exact_p, holm, judge, permutation_p, rate_ratio_upper95

RACES = ("deadlock", "duplicate_callback", "out_of_order_frame")

few = st.integers(0, 40)
many = st.integers(1, 20_000)
block = st.tuples(st.integers(0, 12), st.integers(1, 2_000))
arm_blocks = st.lists(block, min_size=1, max_size=5)


@given(few, many, few, many)
def test_p_is_a_probability(control: int, control_chances: int, test: int, test_chances: int) -> None:
    assert 0 <= exact_p(control, control_chances, test, test_chances) <= 1


@given(few, many, few, many)
def test_more_incidents_on_control_never_raise_p(
    control: int, control_chances: int, test: int, test_chances: int
) -> None:
    before = exact_p(control, control_chances, test, test_chances)
    assert exact_p(control + 1, control_chances, test, test_chances) <= before + 1e-12


@given(few, many, few, many)
def test_more_incidents_under_test_never_lower_p(
    control: int, control_chances: int, test: int, test_chances: int
) -> None:
    before = exact_p(control, control_chances, test, test_chances)
    assert exact_p(control, control_chances, test + 1, test_chances) >= before - 1e-12


@given(few, many, few, many)
def test_more_opportunities_under_test_never_raise_p(
    control: int, control_chances: int, test: int, test_chances: int
) -> None:
    before = exact_p(control, control_chances, test, test_chances)
    assert exact_p(control, control_chances, test, test_chances * 2) <= before + 1e-12


@given(st.integers(1, 40), many, few, many)
def test_the_ratio_bound_is_above_the_ratio(control: int, control_chances: int, test: int, test_chances: int) -> None:
    bound = rate_ratio_upper95(control, control_chances, test, test_chances)
    assert bound is not None
    assert bound > (test / test_chances) / (control / control_chances)


@given(st.integers(1, 40), many, few, many)
def test_a_bound_below_one_agrees_with_p_below_a_twentieth(
    control: int, control_chances: int, test: int, test_chances: int
) -> None:
    bound, p = (
        rate_ratio_upper95(control, control_chances, test, test_chances),
        exact_p(control, control_chances, test, test_chances),
    )
    assert bound is not None
    if abs(p - 0.05) > 1e-6:
        assert (bound < 1) == (p < 0.05)


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.one_of(st.none(), st.floats(0, 1)), min_size=1))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p_values: dict[str, float | None]) -> None:
    adjusted = holm(p_values)
    assert list(adjusted) == list(p_values)
    known = {name: p for name, p in p_values.items() if p is not None}
    for name, p in known.items():
        found = adjusted[name]
        assert found is not None
        assert p <= found <= min(1.0, p * len(p_values)) + 1e-12
        assert all(found <= (adjusted[other] or 0) for other, q in known.items() if q > p)


@settings(max_examples=60, deadline=None)
@given(arm_blocks, arm_blocks)
def test_permutation_p_is_a_probability_and_at_least_one_deal(
    control: list[tuple[int, int]], test: list[tuple[int, int]]
) -> None:
    assert 1 / math.comb(len(control) + len(test), len(test)) - 1e-12 <= permutation_p(control, test) <= 1


@settings(max_examples=60, deadline=None)
@given(arm_blocks, arm_blocks, st.randoms(use_true_random=False))
def test_the_order_of_blocks_does_not_matter(
    control: list[tuple[int, int]], test: list[tuple[int, int]], rng: random.Random
) -> None:
    shuffled = list(control)
    rng.shuffle(shuffled)
    assert permutation_p(shuffled, test) == pytest.approx(permutation_p(control, test))
    assert dispersion(shuffled) == pytest.approx(dispersion(control))


@settings(max_examples=150, deadline=None)
@given(arm_blocks, arm_blocks)
def test_removed_always_means_seen_on_control_and_never_under_test(
    control: list[tuple[int, int]], test: list[tuple[int, int]]
) -> None:
    verdict = judge(checks("deadlock", control, test), races=["deadlock"], control="a", under_test="b")["deadlock"]
    if verdict.verdict is RaceState.REMOVED:
        assert verdict.arms["a"].incidents >= 2
        assert verdict.arms["b"].incidents == 0
        assert verdict.p_adjusted is not None
        assert verdict.p_adjusted < ALPHA
    if verdict.arms["b"].incidents:
        assert verdict.verdict in (RaceState.REDUCED, RaceState.REMAINS)
    assert verdict.reason.startswith(f"{verdict.verdict}: ")


@settings(max_examples=100, deadline=None)
@given(arm_blocks, arm_blocks)
def test_a_blind_block_never_decides(control: list[tuple[int, int]], test: list[tuple[int, int]]) -> None:
    blind = checks("deadlock", control, test)
    blind[-1] = BlockCheck("deadlock", 99, "b", (), 10, 10.0, ("log vanished",))
    verdict = judge(blind, races=["deadlock"], control="a", under_test="b")["deadlock"]
    assert verdict.verdict is RaceState.UNKNOWN


# --- simulated runs ---------------------------------------------------------------------------------------------------


def checks(race: str, control: Sequence[tuple[int, int]], test: Sequence[tuple[int, int]]) -> list[BlockCheck]:
    """Blocks of (incidents, opportunities) on the arms `a` and `b`."""
    return [
        BlockCheck(race, 2 * i, arm, (Incident(race, 2 * i, arm, 1.0, "c", "s", Witness("w")),) * seen, chances, 60.0)
        for arm, blocks in (("a", control), ("b", test))
        for i, (seen, chances) in enumerate(blocks)
    ]


def simulated(
    runs: int, pairs: int, mean_a: float, mean_b: float, shape: float | None, *, peek: bool, seed: int
) -> list[int]:
    """How many of three races each simulated run called removed, at the most.

    `shape` is the shape of the gamma distribution of a block's own rate (None: every block has the same), so that the
    variance of block counts over their mean is 1 + mean / shape. With `peek` a run is judged after each pair of blocks.
    """
    rng = np.random.default_rng(seed)

    def draw(mean: float) -> list[tuple[int, int]]:
        return [(int(rng.poisson(mean * (rng.gamma(shape) / shape if shape else 1))), 1000) for _ in range(pairs)]

    removed = []
    for _ in range(runs):
        counts = {race: (draw(mean_a), draw(mean_b)) for race in RACES}
        most = 0
        for look in range(3, pairs + 1) if peek else [pairs]:
            seen = [check for race, (a, b) in counts.items() for check in checks(race, a[:look], b[:look])]
            verdicts = judge(seen, races=RACES, control="a", under_test="b").values()
            most = max(most, sum(verdict.verdict is RaceState.REMOVED for verdict in verdicts))
        removed.append(most)
    return removed


def share(removed: Sequence[int], at_least: int) -> float:
    """Share of runs with at least so many races removed."""
    return sum(number >= at_least for number in removed) / len(removed)


@pytest.mark.parametrize("mean", [1.0, 2.0, 3.0])
def test_equal_arms_are_removed_in_fewer_than_one_run_of_a_hundred_however_often_one_looks(mean: float) -> None:
    assert share(simulated(300, 6, mean, mean, None, peek=True, seed=int(mean)), 1) <= ALPHA


@pytest.mark.parametrize("shape", [0.5, 2.0])
def test_equal_arms_whose_incidents_cluster_are_not_removed_either(shape: float) -> None:
    assert share(simulated(200, 6, 6.0, 6.0, shape, peek=True, seed=7), 1) <= ALPHA


def test_three_repairs_are_seen_in_nearly_every_run() -> None:
    """Six blocks an arm at 5 incidents a block: the permutation test has power where chance makes blocks uneven."""
    assert share(simulated(80, 6, 5.0, 0.0, None, peek=False, seed=3), 3) >= 0.9


def test_three_repairs_of_clustering_races_are_seen_too() -> None:
    assert share(simulated(80, 6, 12.0, 0.0, 6.0, peek=False, seed=4), 3) >= 0.9
