"""The permutation test against values worked out by hand, SciPy, and the definition written out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stress.judge.looks import ALPHA, FIRST, level_at, looks_until, next_look
from stress.judge.permutation import MAX_DEALS, joint_p, least_p, step_down

TEST = [False, True] * 4 + [False]  # 5 + 4 blocks


def column(*counts: int) -> list[list[int]]:
    return [[count] for count in counts]


def same(blocks: int, races: int = 1) -> list[list[int]]:
    return [[1000] * races] * blocks


def test_five_dirty_control_blocks_and_four_clean_ones_have_one_deal_in_126() -> None:
    [p] = joint_p(column(5, 0, 4, 0, 6, 0, 5, 0, 1), same(9), TEST)
    assert p is not None
    assert [p.raw, p.adjusted] == pytest.approx([1 / 126, 1 / 126])


def test_deals_with_a_clean_arm_under_test_tie_whatever_the_opportunities() -> None:
    chances = [[100 * (n + 1)] for n in range(9)]
    [p] = joint_p(column(5, 0, 0, 0, 6, 0, 5, 0, 1), chances, TEST)
    assert p is not None
    assert p.raw == pytest.approx(least_p(5, 4, 1))


def test_equal_blocks_are_scipys_permutation_test() -> None:
    control, under_test = [7, 3, 9, 4, 6], [2, 5, 1, 3]
    ours = joint_p(
        column(*itertools.chain.from_iterable(zip(control, [*under_test, 0], strict=True)))[:9], same(9), TEST
    )[0]
    theirs = stats.permutation_test(
        (under_test, control), lambda x, y: np.mean(x) / (np.mean(x) + np.mean(y)), alternative="less", n_resamples=1000
    )
    assert ours is not None
    assert ours.raw == pytest.approx(theirs.pvalue)


def test_a_race_without_an_incident_has_no_p_and_costs_the_others_nothing() -> None:
    counts = [[a, 0] for a in (5, 0, 4, 0, 6, 0, 5, 0, 1)]
    first, second = joint_p(counts, same(9, 2), TEST)
    assert second is None
    assert first is not None
    assert first.adjusted == pytest.approx(1 / 126)


def test_races_that_speak_in_unison_pay_no_price_and_others_do() -> None:
    dirty = (5, 0, 4, 0, 6, 0, 5, 0, 1)
    together = joint_p([[a, 3 * a] for a in dirty], same(9, 2), TEST)
    assert [p.adjusted for p in together if p] == pytest.approx([1 / 126, 1 / 126])
    noise = (1, 7, 2, 5, 3, 6, 4, 9, 8)
    mixed = joint_p([[a, b] for a, b in zip(dirty, noise, strict=True)], same(9, 2), TEST)
    assert mixed[0] is not None
    assert mixed[0].adjusted == pytest.approx(2 / 126)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=7, max_size=7))
@settings(max_examples=60, deadline=None)
def test_step_down_is_its_definition(rows: list[tuple[int, int]]) -> None:
    test = [True, False, True, False, False, True, False]
    found = joint_p(rows, same(7, 2), test)
    counts = np.array(rows)
    tested = [race for race in range(2) if counts[:, race].any()]
    values = []
    for deal in itertools.combinations(range(7), 3):
        chosen = np.isin(np.arange(7), deal)
        t, c = counts[chosen].sum(axis=0) / 3000, counts[~chosen].sum(axis=0) / 4000
        values.append([t[race] / (t[race] + c[race]) for race in tested])
    table = np.array(values)
    p = np.array([[np.mean(table[:, j] <= v + 1e-12) for j, v in enumerate(row)] for row in table])
    observed = p[list(itertools.combinations(range(7), 3)).index((0, 2, 5))] if tested else []
    expected: dict[int, float] = {}
    order = sorted(range(len(tested)), key=lambda j: observed[j])
    highest = 0.0
    for place, j in enumerate(order):
        highest = max(highest, float(np.mean(p[:, order[place:]].min(axis=1) <= observed[j] + 1e-12)))
        expected[tested[j]] = highest
    assert [None if value is None else round(value.adjusted, 9) for value in found] == [
        None if race not in expected else round(expected[race], 9) for race in range(2)
    ]


def test_more_deals_than_can_be_tried_are_drawn_always_alike_and_sharpened_where_counting_is_enough() -> None:
    blocks = 24
    assert math.comb(blocks, 12) > MAX_DEALS
    test = [False, True] * 12
    counts = column(*[0 if ours else 3 for ours in test])
    [first], [again] = joint_p(counts, same(blocks), test), joint_p(counts, same(blocks), test)
    assert first == again
    assert first is not None
    assert first.adjusted == pytest.approx(1 / math.comb(24, 12))


def test_one_sided() -> None:
    [p] = joint_p(column(0, 5, 0, 4, 0, 6, 0, 5, 0), same(9), TEST)
    assert p is not None
    assert p.raw == 1.0


def test_step_down_never_orders_against_raw() -> None:
    rng = np.random.default_rng(3)
    found = step_down(rng.random((500, 4)))
    ordered = sorted(found, key=lambda p: p.raw)
    assert [p.adjusted for p in ordered] == sorted(p.adjusted for p in ordered)
    assert all(p.raw <= p.adjusted for p in found)


# --- looks ----------------------------------------------------------------------------------------------------------


def test_the_levels_of_all_looks_add_up_to_no_more_than_alpha() -> None:
    levels = [level_at(look) for look in looks_until(5000)]
    assert len(levels) > 15
    assert sum(level or 0.0 for level in levels) <= ALPHA


def test_no_look_can_decide_before_nine_blocks() -> None:
    assert looks_until(FIRST - 1) == []
    assert all(least_p(n - n // 2, n // 2) > ALPHA for n in range(2, FIRST))


@pytest.mark.parametrize(("blocks", "look"), [(0, 9), (8, 9), (9, 15), (15, 20), (20, 24), (24, 32)])
def test_the_next_look(blocks: int, look: int) -> None:
    assert next_look(blocks) == look


@pytest.mark.parametrize(("look", "clean"), [(9, 0), (15, 1), (20, 2), (24, 3)])
def test_each_look_takes_the_clean_control_blocks_that_its_table_names(look: int, clean: int) -> None:
    control, under_test = look - look // 2, look // 2
    assert least_p(control, under_test, clean) <= (level_at(look) or 0.0) < least_p(control, under_test, clean + 1)
