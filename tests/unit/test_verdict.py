"""The verdict's rules, one at a time, and its numbers against values worked out by hand or by SciPy itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest
from scipy import stats

from stress.results import BlockCheck, Incident, RaceState, RaceVerdict, Verdict, Witness
from stress.verdict import (
    decided,
    dispersion,
    exact_p,
    exit_code,
    has_evidence,
    holm,
    judge,
    judge_all,
    judge_each,
    opportunity_unit,
    overall,
    p_clause,
    p_text,
    permutation_p,
    race_decided,
    rate_ratio_upper95,
)

RACES = ("deadlock", "duplicate_callback", "out_of_order_frame")


def blocks(
    arm: str,
    counts: Sequence[int],
    *,
    race: str = "deadlock",
    opportunities: int | Sequence[int] = 1000,
    exposure_s: float = 60.0,
    blind: tuple[str, ...] = (),
) -> list[BlockCheck]:
    """Checks of one arm, one block per count; control has the odd block numbers, other arms the even ones."""
    chances = [opportunities] * len(counts) if isinstance(opportunities, int) else list(opportunities)
    made = []
    for i, (count, chance) in enumerate(zip(counts, chances, strict=True)):
        number = 2 * i + (1 if arm == "stock" else 2)
        incidents = tuple(
            Incident(race, number, arm, 5.0 + n, "cause", "signature", Witness("something")) for n in range(count)
        )
        made.append(BlockCheck(race, number, arm, incidents, chance, exposure_s, blind if i == 0 else ()))
    return made


def one(checks: Sequence[BlockCheck], **options: object) -> RaceVerdict:
    """The verdict on the deadlock alone, stock against fixed."""
    return judge(checks, races=["deadlock"], control="stock", under_test="fixed", **options)["deadlock"]  # type: ignore[arg-type]


# --- states ---------------------------------------------------------------------------------------------------------


def test_removed_when_control_showed_it_often_and_the_fix_never() -> None:
    verdict = one(blocks("stock", [5, 4, 5]) + blocks("fixed", [0, 0, 0]))
    assert verdict.verdict is RaceState.REMOVED
    assert verdict.p_value == pytest.approx(0.5**14)
    assert verdict.test == "exact"


def test_the_reason_gives_both_denominators_p_and_ratio() -> None:
    checks = blocks("stock", [5, 4, 5], opportunities=[1706, 1707, 1707]) + blocks(
        "fixed", [0, 0, 0], opportunities=[1767, 1767, 1767]
    )
    assert one(checks).reason == (
        "removed: 0 of 5,301 state updates on fixed against 14 of 5,120 state updates on stock, "
        "p=0.000048 (Holm x1), rate ratio < 0.23"
    )


def test_reduced_when_incidents_are_left_but_far_fewer() -> None:
    assert one(blocks("stock", [20, 21, 19]) + blocks("fixed", [1, 1, 1])).verdict is RaceState.REDUCED


def test_remains_when_as_many_are_left() -> None:
    assert one(blocks("stock", [5, 4, 5]) + blocks("fixed", [4, 5, 5])).verdict is RaceState.REMAINS


def test_remains_when_only_the_arm_under_test_shows_it() -> None:
    assert one(blocks("stock", [0, 0, 0]) + blocks("fixed", [0, 1, 0])).verdict is RaceState.REMAINS


def test_unknown_when_control_never_showed_it() -> None:
    verdict = one(blocks("stock", [0, 0, 0]) + blocks("fixed", [0, 0, 0]), block_cost_s=90.0)
    assert verdict.verdict is RaceState.UNKNOWN
    # 1 - 0.05 ** (1 / 3000) is 0.9981 in 1,000.
    bound = "0 of 3,000 state updates on stock, at most 1 per 1,000 with 95 % confidence"
    assert f"not seen on either arm ({bound}; " in verdict.reason
    assert verdict.more_minutes is None


def test_unknown_with_an_estimate_when_there_are_too_few() -> None:
    verdict = one(blocks("stock", [1, 1, 1]) + blocks("fixed", [0, 0, 0]), block_cost_s=90.0)
    assert verdict.verdict is RaceState.UNKNOWN
    # 7 incidents are needed (0.5**7 < 0.01), one comes per pair of blocks, 3 are there: 4 more pairs of 2 x 90 s.
    assert verdict.more_minutes == pytest.approx(12.0)
    assert "about 12 more minutes would decide" in verdict.reason


def test_an_estimate_without_a_block_cost_is_of_load() -> None:
    verdict = one(blocks("stock", [1, 1, 1]) + blocks("fixed", [0, 0, 0]))
    assert verdict.more_minutes == pytest.approx(8.0)
    assert "about 8 more minutes of load would decide" in verdict.reason


@pytest.mark.parametrize(("stock", "fixed", "without"), [(0, 1000, "stock"), (1000, 0, "fixed")])
def test_unknown_when_an_arm_had_no_opportunity(stock: int, fixed: int, without: str) -> None:
    checks = blocks("stock", [5, 5, 5], opportunities=stock) + blocks("fixed", [0, 0, 0], opportunities=fixed)
    verdict = one(checks)
    assert verdict.verdict is RaceState.UNKNOWN
    assert f"no state updates on {without}" in verdict.reason


def test_unknown_when_an_arm_was_never_run() -> None:
    assert one(blocks("stock", [9, 9, 9])).verdict is RaceState.UNKNOWN


def test_unknown_when_the_fix_starved_the_race() -> None:
    checks = blocks("stock", [40, 41, 39]) + blocks("fixed", [0, 0, 0], opportunities=300)
    verdict = one(checks)
    assert verdict.verdict is RaceState.UNKNOWN
    assert "30% of the state updates per second" in verdict.reason


def test_a_block_cut_short_is_not_mistaken_for_starving() -> None:
    whole = blocks("stock", [10, 10, 10])
    cut_short = [*blocks("fixed", [0, 0, 0]), BlockCheck("deadlock", 6, "fixed", (), 100, 6.0)]
    assert one(whole + cut_short).verdict is RaceState.REMOVED


@pytest.mark.parametrize("blind_arm", ["stock", "fixed"])
def test_unknown_when_an_observer_was_blind_on_either_arm(blind_arm: str) -> None:
    seen = {"stock": [20, 20, 20], "fixed": [0, 0, 0]}
    checks = [
        check
        for arm, counts in seen.items()
        for check in blocks(arm, counts, blind=("PostgreSQL log vanished",) if arm == blind_arm else ())
    ]
    verdict = one(checks)
    assert verdict.verdict is RaceState.UNKNOWN
    assert f"{blind_arm}: PostgreSQL log vanished" in verdict.reason
    assert verdict.p_value is None


def test_unknown_even_if_a_blind_observer_saw_incidents_under_test_but_the_reason_tells() -> None:
    verdict = one(blocks("stock", [20, 20, 20]) + blocks("fixed", [2, 0, 0], blind=("log vanished",)))
    assert verdict.verdict is RaceState.UNKNOWN
    assert "2 of 3,000 state updates on fixed" in verdict.reason


def test_blindness_of_one_race_leaves_the_others_alone() -> None:
    checks = blocks("stock", [20, 20, 20], blind=("log vanished",)) + blocks("fixed", [0, 0, 0])
    checks += blocks("stock", [20, 20, 20], race="x") + blocks("fixed", [0, 0, 0], race="x")
    verdicts = judge(checks, races=["deadlock", "x"], control="stock", under_test="fixed")
    assert [v.verdict for v in verdicts.values()] == [RaceState.UNKNOWN, RaceState.REMOVED]


def test_unknown_for_every_race_when_fixes_did_not_load() -> None:
    checks = [
        c for race in RACES for c in blocks("stock", [9, 9, 9], race=race) + blocks("fixed", [0, 0, 0], race=race)
    ]
    unloaded = {"fixed": [f"triggerer-{n}: refused" for n in range(5)], "other": ["is not looked at"]}
    verdicts = judge(checks, races=RACES, control="stock", under_test="fixed", unloaded=unloaded)
    assert {v.verdict for v in verdicts.values()} == {RaceState.UNKNOWN}
    assert "fixed: triggerer-0: refused" in verdicts["deadlock"].reason
    assert "and 2 more" in verdicts["deadlock"].reason
    assert "other" not in verdicts["deadlock"].reason


def test_two_blocks_an_arm_never_remove() -> None:
    verdict = one(blocks("stock", [50, 50]) + blocks("fixed", [0, 0]), block_cost_s=60.0)
    assert verdict.verdict is RaceState.UNKNOWN
    assert "needs 3 blocks of each arm" in verdict.reason
    assert verdict.more_minutes == pytest.approx(2.0)


def test_an_interrupted_run_says_so_where_it_matters() -> None:
    assert (
        "unknown: interrupted, too little"
        in one(blocks("stock", [1, 1, 1]) + blocks("fixed", [0, 0, 0]), interrupted=True).reason
    )
    assert one(blocks("stock", [9, 9, 9]) + blocks("fixed", [0, 0, 0]), interrupted=True).verdict is RaceState.REMOVED


@pytest.mark.parametrize(("count", "state"), [(0, RaceState.UNKNOWN), (1, RaceState.REMAINS)])
def test_a_single_arm_can_only_show_that_a_race_is_there(count: int, state: RaceState) -> None:
    verdict = judge_all(blocks("stock", [count, 0]), ["deadlock"], ["stock"])["deadlock"]
    assert verdict.verdict is state
    assert "no second arm" in verdict.reason


# --- clustering -----------------------------------------------------------------------------------------------------


def test_clustered_control_blocks_are_permuted() -> None:
    verdict = one(blocks("stock", [30, 2, 25, 3, 9]) + blocks("fixed", [0, 0, 0, 0, 0]))
    assert verdict.test == "permutation"
    assert verdict.p_value == pytest.approx(1 / math.comb(10, 5))
    assert verdict.verdict is RaceState.REMOVED
    assert "whole blocks were permuted" in verdict.reason


def test_four_clustered_blocks_an_arm_cannot_decide() -> None:
    verdict = one(blocks("stock", [30, 2, 25, 3]) + blocks("fixed", [0, 0, 0, 0]), block_cost_s=60.0)
    assert verdict.verdict is RaceState.UNKNOWN
    assert verdict.p_value == pytest.approx(1 / 70)
    assert verdict.more_minutes == pytest.approx(2.0)


def test_a_burst_under_test_is_permuted_too() -> None:
    verdict = one(blocks("stock", [9, 10, 11]) + blocks("fixed", [12, 0, 0]))
    assert verdict.dispersion == pytest.approx(0.1)
    assert verdict.test == "permutation"
    assert verdict.verdict is RaceState.REMAINS


def test_clean_control_blocks_make_the_estimate_longer() -> None:
    steady = one(blocks("stock", [30, 2, 25, 3]) + blocks("fixed", [0] * 4), block_cost_s=60.0)
    patchy = one(blocks("stock", [30, 0, 25, 0]) + blocks("fixed", [0] * 4), block_cost_s=60.0)
    assert steady.more_minutes is not None
    assert patchy.more_minutes is not None
    assert patchy.more_minutes > steady.more_minutes


def test_dispersion_of_equal_blocks_is_variance_over_mean() -> None:
    counts = [3, 7, 2, 9]
    assert dispersion([(count, 500) for count in counts]) == pytest.approx(stats.tvar(counts) / (sum(counts) / 4))


def test_a_short_block_is_not_clustering() -> None:
    assert dispersion([(20, 2000), (20, 2000), (2, 200)]) == pytest.approx(0.0)


@pytest.mark.parametrize("few", [[], [(9, 100)], [(0, 100), (0, 100)], [(9, 100), (0, 0)]])
def test_dispersion_is_none_where_it_cannot_be_told(few: list[tuple[int, int]]) -> None:
    assert dispersion(few) is None


def test_permutation_p_by_hand() -> None:
    # 6 ways to deal 4 blocks into 2 + 2; only ours has both low ones under test.
    assert permutation_p([(9, 100), (7, 100)], [(0, 100), (1, 100)]) == pytest.approx(1 / 6)
    # Both high ones are under test: every deal is as low as ours, or lower.
    assert permutation_p([(0, 100), (1, 100)], [(9, 100), (7, 100)]) == pytest.approx(1.0)


def test_permutation_p_of_equal_blocks_is_scipys() -> None:
    control, under_test = [9, 3, 5, 12], [4, 2, 6]
    reference = stats.permutation_test(
        (under_test, control), lambda x, y: sum(x) / len(x) - sum(y) / len(y), alternative="less", n_resamples=1000
    )
    found = permutation_p([(n, 100) for n in control], [(n, 100) for n in under_test])
    assert found == pytest.approx(reference.pvalue)


def test_permutation_p_leaves_out_blocks_that_say_nothing() -> None:
    assert permutation_p([(9, 100), (7, 100), (0, 0)], [(0, 100), (1, 100)]) == pytest.approx(1 / 6)
    assert permutation_p([(9, 100)], [(0, 0)]) == 1.0


def test_permutation_p_is_drawn_above_a_hundred_thousand_deals_and_always_alike() -> None:
    control, under_test = [(n % 5 + 3, 100) for n in range(12)], [(0, 100)] * 12
    p = permutation_p(control, under_test)
    assert p == permutation_p(control, under_test)
    assert 0 < p < 0.0001


# --- numbers --------------------------------------------------------------------------------------------------------


def test_exact_p_with_zero_under_test_is_a_power_of_control_share() -> None:
    assert exact_p(14, 5120, 0, 5301) == pytest.approx((5120 / 10421) ** 14)


def test_exact_p_by_hand_with_incidents_left() -> None:
    # Binomial(10, 1/2): (1 + 10 + 45) / 1024 for at most 2.
    assert exact_p(8, 100, 2, 100) == pytest.approx(56 / 1024)


def test_rate_ratio_bound_is_clopper_pearson_of_the_share() -> None:
    share = stats.binomtest(2, 12, alternative="less").proportion_ci(0.95, method="exact").high
    assert rate_ratio_upper95(10, 300, 2, 600) == pytest.approx(share / (1 - share) * 300 / 600)


def test_rate_ratio_bound_of_zero_by_hand() -> None:
    share = 1 - 0.05 ** (1 / 14)
    assert rate_ratio_upper95(14, 100, 0, 100) == pytest.approx(share / (1 - share))


def test_rate_ratio_bound_is_wider_for_clustered_incidents() -> None:
    independent, clustered = rate_ratio_upper95(30, 100, 3, 100), rate_ratio_upper95(30, 100, 3, 100, 4.0)
    assert independent is not None
    assert clustered is not None
    assert clustered > independent


def test_rate_ratio_has_no_bound_without_a_control_incident() -> None:
    assert rate_ratio_upper95(0, 100, 3, 100) is None


def test_holm_by_hand() -> None:
    # 0.01 x 4, 0.02 x 3, 0.03 x 2 (raised to the one before), 0.04 x 1 (raised).
    adjusted = holm({"d": 0.04, "a": 0.01, "c": 0.03, "b": 0.02})
    assert adjusted == pytest.approx({"d": 0.06, "a": 0.04, "c": 0.06, "b": 0.06})
    assert list(adjusted) == ["d", "a", "c", "b"]


def test_holm_counts_a_race_without_p_as_asked_for() -> None:
    assert holm({"a": 0.004, "b": None}) == {"a": 0.008, "b": None}


def test_holm_raises_p_of_a_run_with_three_races() -> None:
    checks = blocks("stock", [3, 3, 2]) + blocks("fixed", [0, 0, 0])
    alone = one(checks)
    among = judge(checks, races=RACES, control="stock", under_test="fixed")["deadlock"]
    assert (alone.verdict, among.verdict) == (RaceState.REMOVED, RaceState.UNKNOWN)
    assert among.p_adjusted == pytest.approx(3 * 0.5**8)


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (1.0, "p=1"),
        (0.344, "p=0.34"),
        (0.01, "p=0.010"),
        (0.000061, "p=0.000061"),
        (1e-9, "p<0.000001"),
        (0, "p<0.000001"),
    ],
)
def test_p_is_written_in_plain_decimals(p: float, text: str) -> None:
    assert p_clause(p) == text


def test_p_text_has_no_letter() -> None:
    assert p_text(0.00001) == "0.000010"


# --- counts ---------------------------------------------------------------------------------------------------------


def test_first_incident_is_cumulated_over_the_arms_own_load() -> None:
    verdict = one(blocks("stock", [0, 2]) + blocks("fixed", [0, 0, 0]))
    assert verdict.arms["stock"].first_incident_s == pytest.approx(65.0)
    assert verdict.arms["fixed"].first_incident_s is None
    assert verdict.arms["stock"].causes == {"cause": 2}


def test_checks_of_other_races_and_arms_are_not_counted() -> None:
    checks = blocks("stock", [3, 3, 3]) + blocks("fixed", [0, 0, 0]) + blocks("proposed", [7, 7, 7])
    checks += blocks("stock", [50, 50], race="other")
    verdict = one(checks)
    assert {arm: count.incidents for arm, count in verdict.arms.items()} == {"stock": 9, "fixed": 0}


def test_units_have_names_with_a_default() -> None:
    assert [opportunity_unit(race) for race in (*RACES, "false_failed")] == [
        "state updates",
        "missed deadlines",
        "cancellations",
        "opportunities",
    ]


# --- several arms, and the run as a whole -----------------------------------------------------------------------------


def test_three_arms_are_judged_last_against_first_with_the_counts_of_all() -> None:
    checks = blocks("stock", [9, 9, 9]) + blocks("proposed", [5, 5, 5]) + blocks("fixed", [0, 0, 0])
    verdict = judge_all(checks, ["deadlock"], ["stock", "proposed", "fixed"])["deadlock"]
    assert (verdict.control, verdict.under_test, verdict.verdict) == ("stock", "fixed", RaceState.REMOVED)
    assert {arm: count.incidents for arm, count in verdict.arms.items()} == {"stock": 27, "proposed": 15, "fixed": 0}


def test_each_further_arm_is_judged_against_the_first() -> None:
    checks = blocks("stock", [9, 9, 9]) + blocks("proposed", [8, 8, 8]) + blocks("fixed", [0, 0, 0])
    judged = judge_each(checks, ["deadlock"], ["stock", "proposed", "fixed"])
    assert {arm: races["deadlock"].verdict for arm, races in judged.items()} == {
        "proposed": RaceState.REMAINS,
        "fixed": RaceState.REMOVED,
    }


def of_states(states: Mapping[str, tuple[list[int], list[int]]]) -> dict[str, RaceVerdict]:
    """Verdicts on races with these block counts on stock and on fixed."""
    checks = [
        c for race, (s, f) in states.items() for c in blocks("stock", s, race=race) + blocks("fixed", f, race=race)
    ]
    return judge(checks, races=list(states), control="stock", under_test="fixed")


REMOVED = ([20, 20, 20], [0, 0, 0])
REDUCED = ([40, 40, 40], [3, 3, 3])
REMAINS = ([20, 20, 20], [20, 20, 20])
UNKNOWN = ([0, 0, 0], [0, 0, 0])


@pytest.mark.parametrize(
    ("states", "verdict", "code"),
    [
        ((REMOVED, REMOVED), Verdict.PASS, 0),
        ((REMOVED, REDUCED), Verdict.FAIL, 1),
        ((REMOVED, REMAINS), Verdict.FAIL, 1),
        ((REMAINS, UNKNOWN), Verdict.FAIL, 1),
        ((REMOVED, UNKNOWN), Verdict.UNKNOWN, 2),
        ((), Verdict.UNKNOWN, 2),
    ],
)
def test_exit_codes(states: Sequence[tuple[list[int], list[int]]], verdict: Verdict, code: int) -> None:
    verdicts = of_states({f"race{n}": state for n, state in enumerate(states)})
    assert overall(verdicts) is verdict
    assert exit_code(verdicts) == code


@pytest.mark.parametrize(("states", "code"), [((REMOVED,), 2), ((REMAINS,), 1)])
def test_an_interrupted_run_never_passes(states: Sequence[tuple[list[int], list[int]]], code: int) -> None:
    verdicts = of_states({f"race{n}": state for n, state in enumerate(states)})
    assert exit_code(verdicts, interrupted=True) == code
    assert exit_code(verdicts, interrupted_by_signal=2) == code


@pytest.mark.parametrize(("signal", "code"), [(2, 130), (15, 143)])
def test_a_signal_before_any_evidence_gives_the_shells_code(signal: int, code: int) -> None:
    verdicts = of_states({"deadlock": ([], [])})
    assert not has_evidence(verdicts)
    assert exit_code(verdicts, interrupted_by_signal=signal) == code


@pytest.mark.parametrize(
    ("state", "is_decided"),
    [
        (REMOVED, True),
        (REDUCED, True),
        (REMAINS, True),
        (UNKNOWN, False),
        (([1, 0, 0], [1, 0, 0]), False),  # remains, and may yet turn out reduced
    ],
)
def test_a_run_goes_on_until_every_race_is_decided(state: tuple[list[int], list[int]], is_decided: bool) -> None:
    assert decided(of_states({"deadlock": state})) is is_decided
    assert decided(of_states({"deadlock": state, "other": REMOVED})) is is_decided


def test_nothing_asked_is_nothing_decided() -> None:
    assert not decided({})


def test_a_race_that_a_single_arm_showed_is_decided() -> None:
    verdict = judge_all(blocks("stock", [1]), ["deadlock"], ["stock"])["deadlock"]
    assert race_decided(verdict, 1)
