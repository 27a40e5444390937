"""The verdict's rules, one at a time."""

from __future__ import annotations

import pytest

from stress.judge.verdicts import decided, exit_code, has_evidence, judge, judge_all, overall
from stress.results import HarmMeasure, RaceState, Verdict
from tests.unit.judged import RACES, check, one, turns

SEEN, CLEAN = [5, 4, 6, 5, 4], [0, 0, 0, 0]
WORSE = HarmMeasure("throughput", "1/s", {"stock": 10.0, "fixed": 5.0}, "worse", 0.004, "10 -> 5 1/s")


def test_removed_when_every_control_block_showed_it_and_none_under_test() -> None:
    verdict = one(turns(SEEN, CLEAN))
    assert verdict.verdict is RaceState.REMOVED
    assert verdict.p_adjusted == pytest.approx(1 / 126)
    assert (verdict.decided_after, verdict.blocks) == (9, {"stock": 5, "fixed": 4})


def test_a_removed_race_s_reason_has_denominators_blocks_p_and_what_the_bounds_cover() -> None:
    reason = one(turns(SEEN, CLEAN)).reason
    assert reason.startswith(
        "removed: 0 of 4,000 state updates on fixed against 24 of 5,000 state updates on stock; "
        "p=0.0079 for all races together, by permuting 5 + 4 blocks; rate ratio < 0.17"
    )
    assert "at most 53% of such blocks would show it (95 %, from 4 without)" in reason


def test_eight_blocks_never_decide() -> None:
    verdict = one(turns(SEEN[:4], CLEAN))
    assert verdict.verdict is RaceState.UNKNOWN
    assert verdict.decided_after is None
    assert "undecided, 1 more blocks until the first look" in verdict.reason


def test_many_incidents_in_few_blocks_do_not_decide() -> None:
    # 6 broken runners of 111 cancellations in 4 + 3 blocks: p is 1/35 by blocks, whatever the incidents' number.
    verdict = one(turns([2, 1, 2, 1], [0, 0, 0], chances=(28, 37)))
    assert verdict.verdict is RaceState.UNKNOWN
    assert verdict.p_adjusted == pytest.approx(1 / 35)


def test_a_clean_block_of_the_control_needs_more_blocks() -> None:
    assert one(turns([5, 0, 6, 5, 4], CLEAN)).verdict is RaceState.UNKNOWN
    longer = one(turns([5, 0, 6, 5, 4, 5, 6, 4], [0] * 7))
    assert (longer.verdict, longer.decided_after) == (RaceState.REMOVED, 15)


def test_the_estimate_leads_to_the_look_that_can_decide() -> None:
    verdict = one(turns([5, 0, 6, 5, 4], CLEAN), block_cost_s=30.0)
    # One clean block in five: two of ten at the look after 20 blocks, 11 blocks of 30 s from now.
    assert verdict.more_minutes == pytest.approx(11 * 30 / 60)
    assert "about 6 more minutes would decide" in verdict.reason


def test_blocks_between_two_looks_decide_nothing() -> None:
    assert one(turns([0, 5, 6, 5, 4, 5, 6], [0] * 7)).verdict is RaceState.UNKNOWN


def test_a_race_that_a_look_removed_stays_removed() -> None:
    later = one(turns([*SEEN, 0, 0, 0], [0] * 7))
    assert (later.verdict, later.decided_after) == (RaceState.REMOVED, 9)
    assert later.p_adjusted == pytest.approx(1 / 126)


def test_an_incident_after_the_look_takes_it_back() -> None:
    assert one(turns([*SEEN, 4], [0, 0, 0, 0, 0, 1])).verdict is RaceState.REDUCED


def test_reduced_when_incidents_are_left_but_far_fewer() -> None:
    verdict = one(turns([20, 21, 19, 22, 20], [1, 1, 1, 1]))
    assert (verdict.verdict, verdict.decided_after) == (RaceState.REDUCED, 9)


def test_remains_when_as_many_are_left() -> None:
    verdict = one(turns(SEEN, [4, 5, 5, 4]))
    assert (verdict.verdict, verdict.decided_after) == (RaceState.REMAINS, 9)


def test_incidents_under_test_are_open_until_the_first_look() -> None:
    verdict = one(turns(SEEN[:3], [1, 0, 0]))
    assert (verdict.verdict, verdict.decided_after) == (RaceState.REMAINS, None)


def test_traded_when_the_race_is_gone_and_something_else_is_worse() -> None:
    verdict = one(turns(SEEN, CLEAN), harm=[WORSE])
    assert (verdict.verdict, verdict.decided_after) == (RaceState.TRADED, 9)
    assert "fixed is worse: throughput: 10 -> 5 1/s" in verdict.reason


def test_what_is_better_or_not_shown_is_no_harm() -> None:
    alike = HarmMeasure("cpu", "s", {}, "~", 0.4)
    better = HarmMeasure("cpu", "s", {}, "better", 0.004)
    assert one(turns(SEEN, CLEAN), harm=[alike, better]).verdict is RaceState.REMOVED


def test_unknown_when_control_never_showed_it() -> None:
    verdict = one(turns([0] * 5, CLEAN), block_cost_s=90.0)
    assert verdict.verdict is RaceState.UNKNOWN
    assert "not seen on either arm" in verdict.reason
    assert "at most 0.6 per 1,000 with 95 % confidence on stock" in verdict.reason
    assert verdict.more_minutes is None


@pytest.mark.parametrize(("chances", "without"), [((0, 1000), "stock"), ((1000, 0), "fixed")])
def test_unknown_when_an_arm_had_no_opportunity(chances: tuple[int, int], without: str) -> None:
    verdict = one(turns(SEEN, CLEAN, chances=chances))
    assert verdict.verdict is RaceState.UNKNOWN
    assert f"no state updates on {without}" in verdict.reason


def test_unknown_when_an_arm_was_never_run() -> None:
    assert one(turns(SEEN * 2, [])).verdict is RaceState.UNKNOWN


def test_unknown_when_the_fix_starved_the_race() -> None:
    verdict = one(turns(SEEN, CLEAN, chances=(1000, 600)))
    assert verdict.verdict is RaceState.UNKNOWN
    assert "fixed had 60% of the state updates a block that stock had" in verdict.reason


# --- blindness ------------------------------------------------------------------------------------------------------


def test_a_blind_block_is_set_aside_and_named() -> None:
    checks = [*turns(SEEN, CLEAN), check("fixed", 9, 0, blind=("block 9: the log moved",))]
    verdict = one(checks)
    assert verdict.verdict is RaceState.REMOVED
    assert verdict.set_aside == ("fixed: block 9: the log moved",)
    assert verdict.blocks == {"stock": 5, "fixed": 4}


def test_a_blind_block_does_not_count_for_the_look() -> None:
    verdict = one(turns(SEEN, CLEAN, blind=frozenset({3})))
    assert verdict.verdict is RaceState.UNKNOWN


def test_two_blind_blocks_of_eleven_are_too_many() -> None:
    verdict = one([*turns(SEEN, CLEAN), check("fixed", 9, 0, blind=("x",)), check("stock", 10, 5, blind=("y",))])
    assert verdict.verdict is RaceState.UNKNOWN
    assert "2 of 11 blocks were blind, more than one in ten" in verdict.reason


def test_blindness_that_depends_on_the_arm_decides_nothing() -> None:
    # 6 of 60 blocks, all of them under test.
    verdict = one(turns([5] * 30, [0] * 30, blind=frozenset({1, 11, 21, 31, 41, 51})))
    assert verdict.verdict is RaceState.UNKNOWN
    assert "blindness depends on the arm: 0 of the 6 blind blocks are the control's" in verdict.reason


def test_an_incident_in_a_blind_block_under_test_is_proof_all_the_same() -> None:
    verdict = one([*turns(SEEN, CLEAN), check("fixed", 9, 1, blind=("x",))])
    assert verdict.verdict in (RaceState.REMAINS, RaceState.REDUCED)


def test_a_race_that_cannot_be_observed_leaves_the_others_alone() -> None:
    blind = turns([0] * 5, CLEAN, race="out_of_order_frame", blind=frozenset(range(9)))
    verdicts = judge(
        [*turns(SEEN, CLEAN), *blind], races=["deadlock", "out_of_order_frame"], control="stock", under_test="fixed"
    )
    assert verdicts["deadlock"].verdict is RaceState.REMOVED
    assert verdicts["out_of_order_frame"].verdict is RaceState.UNKNOWN
    assert "an observer was blind" in verdicts["out_of_order_frame"].reason


def test_a_block_that_is_blind_for_one_race_is_used_for_none() -> None:
    frames = turns([2] * 5, CLEAN, race="out_of_order_frame", blind=frozenset({4}))
    verdicts = judge(
        [*turns(SEEN, CLEAN), *frames], races=["deadlock", "out_of_order_frame"], control="stock", under_test="fixed"
    )
    assert {verdict.verdict for verdict in verdicts.values()} == {RaceState.UNKNOWN}
    assert verdicts["deadlock"].blocks == {"stock": 4, "fixed": 4}


def test_unknown_for_every_race_when_fixes_did_not_load() -> None:
    verdict = one(turns(SEEN, CLEAN), unloaded={"fixed": ["scheduler-1 refused it"]})
    assert verdict.verdict is RaceState.UNKNOWN
    assert "fixed: scheduler-1 refused it" in verdict.reason
    assert verdict.p_adjusted is None


# --- several races and arms -----------------------------------------------------------------------------------------


def test_nine_blocks_remove_three_races_at_once() -> None:
    checks = [each for race in RACES for each in turns(SEEN, CLEAN, race=race)]
    verdicts = judge(checks, races=RACES, control="stock", under_test="fixed")
    assert {verdict.verdict for verdict in verdicts.values()} == {RaceState.REMOVED}
    assert {round(verdict.p_adjusted or 1, 6) for verdict in verdicts.values()} == {round(1 / 126, 6)}


def test_three_arms_are_judged_last_against_first_with_the_counts_of_all() -> None:
    checks = [*turns(SEEN, CLEAN), *(check("middle", 20 + n, 7) for n in range(4))]
    verdict = judge_all(checks, ["deadlock"], ["stock", "middle", "fixed"])["deadlock"]
    assert verdict.verdict is RaceState.REMOVED
    assert verdict.arms["middle"].incidents == 28


@pytest.mark.parametrize(("counts", "state"), [([0, 0], RaceState.UNKNOWN), ([0, 1], RaceState.REMAINS)])
def test_a_single_arm_can_only_show_that_a_race_is_there(counts: list[int], state: RaceState) -> None:
    verdict = judge(turns(counts, []), races=["deadlock"], control="stock", under_test="stock")["deadlock"]
    assert verdict.verdict is state
    assert (verdict.decided_after is not None) is (state is RaceState.REMAINS)


# --- the run --------------------------------------------------------------------------------------------------------

REMOVED = turns(SEEN, CLEAN)
REMAINS = turns(SEEN, [4, 5, 5, 4])
UNKNOWN = turns([0] * 5, CLEAN)


@pytest.mark.parametrize(
    ("checks", "harm", "verdict", "code"),
    [
        (REMOVED, [], Verdict.PASS, 0),
        (REMOVED, [WORSE], Verdict.FAIL, 1),
        (REMAINS, [], Verdict.FAIL, 1),
        (UNKNOWN, [], Verdict.UNKNOWN, 2),
    ],
)
def test_exit_codes(checks: list, harm: list[HarmMeasure], verdict: Verdict, code: int) -> None:  # type: ignore[type-arg]
    verdicts = {"deadlock": one(checks, harm=harm)}
    assert overall(verdicts) is verdict
    assert exit_code(verdicts) == code
    assert decided(verdicts) is (code != 2)


def test_an_interrupted_run_never_passes() -> None:
    verdicts = {"deadlock": one(REMOVED, interrupted=True)}
    assert exit_code(verdicts, interrupted=True) == 2


@pytest.mark.parametrize(("signal", "code"), [(2, 130), (15, 143)])
def test_a_signal_before_any_evidence_gives_the_shells_code(signal: int, code: int) -> None:
    verdicts = {"deadlock": one([])}
    assert not has_evidence(verdicts)
    assert exit_code(verdicts, interrupted_by_signal=signal) == code


def test_nothing_asked_is_nothing_decided() -> None:
    assert not decided({})
