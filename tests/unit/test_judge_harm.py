"""Harm: what is worse, what is better, and what is merely noise."""

from __future__ import annotations

import bisect
import random

import numpy as np
import pytest

from stress import events
from stress.judge.costs import LEAST_FINISHED, MEASURES, costs_of, quantile_s
from stress.judge.harm import BlockCosts, Measure, compare
from stress.results import HarmMeasure
from tests.unit.histories import Block

SHARE = Measure("share", "of all", worse_if_higher=False, margin=0.02)
SPEED = Measure("speed", "1/s", worse_if_higher=False, margin=0.2, interest=0.05, relative=True)
WRONG = Measure("wrong", "a block", margin=0.0)
LATENCY = Measure("latency", "ms", margin=0.5, interest=0.05, relative=True)


def costs(stock: list[float], fixed: list[float], name: str = "speed") -> list[BlockCosts]:
    """Blocks in turns."""
    blocks = []
    for n in range(max(len(stock), len(fixed))):
        for place, (arm, values) in enumerate((("stock", stock), ("fixed", fixed))):
            if n < len(values):
                blocks.append(BlockCosts(2 * n + place, arm, {name: (values[n], 1.0)}))
    return blocks


def one(measure: Measure, stock: list[float], fixed: list[float]) -> HarmMeasure:
    [found] = compare(costs(stock, fixed, measure.name), [measure], control="stock", under_test="fixed")
    return found


def test_large_values_are_written_without_an_exponent() -> None:
    assert one(LATENCY, [1200.0] * 4, [2300.0] * 4).reason.startswith("1,200 -> 2,300 ms (+91.7%)")


def test_half_the_throughput_is_worse_with_its_p() -> None:
    found = one(SPEED, [10, 11, 10, 9, 10], [5, 6, 5, 5])
    assert found.verdict == "worse"
    assert found.p_value == pytest.approx(1 / 126)
    assert "10 -> 5.25 1/s (-47.5%)" in found.reason


def test_a_difference_beyond_the_margin_is_worse_without_any_p() -> None:
    found = one(SPEED, [10, 14, 6, 10], [7, 9, 5, 9])
    assert found.verdict == "worse"
    assert found.p_value is not None
    assert found.p_value > 0.01
    assert "beyond the margin of 20%" in found.reason


def test_a_shown_difference_too_small_to_matter_is_not_harm() -> None:
    found = one(SPEED, [10.0, 10.01, 10.0, 10.02, 10.0], [9.8, 9.81, 9.8, 9.79])
    assert found.verdict == "~"


def test_a_margin_needs_three_blocks_of_each_arm() -> None:
    assert one(SPEED, [10, 11], [5, 6]).verdict == "~"


def test_noise_is_no_difference() -> None:
    assert one(SPEED, [10, 12, 9, 11, 10], [11, 9, 10, 11]).verdict == "~"


def test_faster_is_better() -> None:
    assert one(LATENCY, [100, 110, 95, 105, 100], [50, 55, 45, 50]).verdict == "better"


def test_one_wrong_reply_is_harm() -> None:
    assert one(WRONG, [0, 0, 0, 0, 0], [0, 1, 0, 0]).verdict == "worse"


def test_nothing_on_both_arms_is_no_difference() -> None:
    assert one(WRONG, [0] * 5, [0] * 4) == HarmMeasure(
        "wrong", "a block", {"stock": 0.0, "fixed": 0.0}, "~", None, "0 -> 0 a block"
    )


def test_a_measure_that_was_not_read_everywhere_is_not_compared() -> None:
    blocks = costs([10, 10, 10], [1, 1, 1])
    blocks[2] = BlockCosts(2, "stock", {})
    [found] = compare(blocks, [SPEED], control="stock", under_test="fixed")
    assert (found.verdict, found.reason) == ("~", "not read in 1 of 6 blocks")


def test_pooled_values_weigh_blocks_by_their_denominators() -> None:
    blocks = [BlockCosts(0, "stock", {"share": (90, 100)}), BlockCosts(1, "fixed", {"share": (1, 2)})]
    blocks.append(BlockCosts(2, "stock", {"share": (0, 20)}))
    [found] = compare(blocks, [SHARE], control="stock", under_test="fixed")
    assert found.values == {"stock": pytest.approx(0.75), "fixed": 0.5}


def test_equal_arms_are_harmed_in_about_one_run_of_a_hundred() -> None:
    """Twelve noisy measures without margins, 5 + 4 blocks, 600 runs: over 14 hits would be above 1 % (99.9 %)."""
    measures = [Measure(f"m{n}", "") for n in range(12)]
    rng = np.random.default_rng(11)
    hits = 0
    for _ in range(600):
        values = rng.gamma(2.0, 1.0, (9, len(measures)))
        blocks = [
            BlockCosts(
                n, "stock" if n % 2 == 0 else "fixed", {m.name: (v, 1.0) for m, v in zip(measures, row, strict=True)}
            )
            for n, row in enumerate(values)
        ]
        hits += any(each.verdict == "worse" for each in compare(blocks, measures, control="stock", under_test="fixed"))
    assert hits <= 14


# --- the readings ---------------------------------------------------------------------------------------------------


def answered(code: int, count: int, operation: str = "success") -> events.ApiAnswered:
    return events.ApiAnswered(operation=operation, code=code, count=count, seconds=1.0, buckets=[count] + [0] * 12)


def reading(block: Block, measure: str) -> tuple[float, float] | None:
    return costs_of(block.view()).readings.get(measure)


def test_dropped_callbacks_lower_their_share() -> None:
    block = Block()
    for name in ("a", "b", "c"):
        block.add(9, events.CallbackExecuted(at=1.0, component="triggerer-1", pid=1, deadline=name, trigger=1))
    assert reading(block.end(missed=("a", "b", "c", "d", "e")), "callbacks_run_share") == (3.0, 5.0)


def test_errors_with_a_deadlock_are_the_deadlock_s_and_others_are_not() -> None:
    side = events.DeadlockSide(pid=1, component="api-server", statement="", waits_for="", signature="")
    block = Block(start=False).add(-5.0, events.BlockStarted(arm="stock"), answered(0, 20))  # no api-server yet
    block.add(0.0, events.LoadStarted()).add(1, answered(204, 990), answered(500, 6), answered(0, 4))
    block.add(2, *[events.DeadlockSeen(at=1.0, victim="api-server", context="", sides=[side])] * 7)
    assert reading(block.end(), "errors_beyond_deadlocks") == (3000.0, 1000.0)


def test_an_exit_under_a_fault_is_not_held_against_the_arm() -> None:
    block = Block().add(5, events.ComponentExited(component="scheduler-1", pid=101, code=1))
    block.add(7, events.FaultInjected(number=0, fault="kill", target="triggerer-1", planned_s=0.0))
    block.add(8, events.ComponentExited(component="triggerer-1", pid=104, code=-9))
    assert reading(block.end(), "component_exits") == (1.0, 1.0)


def test_the_median_is_interpolated_in_its_bucket() -> None:
    # 10 answers up to 5 ms, 10 up to 10 ms: the 15th of 20 is half way through the second bucket.
    event = events.ApiAnswered(operation="success", code=204, count=20, seconds=1.0, buckets=[10, 10] + [0] * 11)
    assert quantile_s([event], 0.75) == pytest.approx(0.0075)
    assert quantile_s([], 0.5) is None


def test_every_measure_is_read_or_absent_on_an_empty_block() -> None:
    names = {measure.name for measure in MEASURES}
    assert set(costs_of(Block().view()).readings) <= names


def waiting(durations_s: list[float]) -> events.ApiAnswered:
    """Answers to state updates that took so long."""
    buckets = [0] * (len(events.API_BOUNDS_S) + 1)
    for duration in durations_s:
        buckets[bisect.bisect_left(events.API_BOUNDS_S, duration)] += 1
    return events.ApiAnswered(
        operation="success",
        code=204,
        count=len(durations_s),
        seconds=sum(durations_s),
        buckets=buckets,
        bounds=list(events.API_BOUNDS_S),
    )


def test_a_delay_of_every_update_shows_where_the_median_hides_it() -> None:
    """A busy api-server: most of an answer's time is waiting. Without deadlocks it is less, and 200 ms pass unseen."""
    rng = random.Random(1)  # noqa: S311 - the same values each time
    blocks = []
    for number, arm in enumerate(("stock", "slow", "slow", "stock", "stock", "slow", "stock", "slow", "stock")):
        added, most = (0.2, 0.7) if arm == "slow" else (0.0, 0.9)
        durations = [0.04 + added + most * rng.random() for _ in range(200)]
        blocks.append(costs_of(Block(arm, number).add(1, waiting(durations)).end(tasks=200).view()))
    judged = {each.measure: each.verdict for each in compare(blocks, MEASURES, control="stock", under_test="slow")}
    assert (judged["state_update_p50"], judged["state_update_p95"]) == ("~", "~")
    assert judged["state_update_p01"] == "worse"


@pytest.mark.parametrize(
    ("answers", "read"),
    [(49, set()), (50, {"p01", "p50"}), (99, {"p01", "p50"}), (100, {"p01", "p50", "p95", "p99"})],
)
def test_a_quantile_needs_answers_and_some_that_are_slower(answers: int, read: set[str]) -> None:
    """Seen: of 16 answers a block, the slowest was the 95th percentile, and two equal arms differed by 85 %. The
    99th is only shown, with an interval: one answer that is slower is enough."""
    readings = costs_of(Block().add(1, waiting([0.04] * answers)).view()).readings
    assert {name.removeprefix("state_update_") for name in readings if name.startswith("state_update")} == read


def test_failed_tasks_are_counted_and_the_minute_s_tasks_do_not_matter() -> None:
    """Four fail in each block; blocks over a full minute have twice as many task instances."""
    blocks = []
    for number, arm in enumerate(("stock", "fixed", "fixed", "stock", "stock", "fixed", "stock", "fixed", "fixed")):
        block = Block(arm, number).end(tasks=18)
        block.add(20, events.TasksCounted(by_state={"success": 32 if arm == "stock" else 16, "failed": 4}))
        blocks.append(costs_of(block.view()))
    judged = {each.measure: each for each in compare(blocks, MEASURES, control="stock", under_test="fixed")}
    assert judged["failed_tasks"].verdict == "~"
    assert judged["failed_tasks"].values == {"stock": 4.0, "fixed": 4.0}


def test_eleven_more_failed_tasks_a_block_are_harm() -> None:
    blocks = []
    for number, arm in enumerate(("stock", "loses", "loses", "stock", "stock", "loses", "stock", "loses", "stock")):
        failed = 51 if arm == "loses" else 40
        block = (
            Block(arm, number).end(tasks=18).add(20, events.TasksCounted(by_state={"success": 130, "failed": failed}))
        )
        blocks.append(costs_of(block.view()))
    judged = {each.measure: each.verdict for each in compare(blocks, MEASURES, control="stock", under_test="loses")}
    assert judged["failed_tasks"] == "worse"


@pytest.mark.parametrize(("finished", "read"), [(LEAST_FINISHED - 1, False), (LEAST_FINISHED, True)])
def test_a_rate_of_a_few_scheduled_tasks_is_not_read(finished: int, *, read: bool) -> None:
    block = Block().add(1, events.CpuUsed(seconds={"api-server": 3.0})).end(tasks=finished)
    assert (reading(block, "throughput") is not None) is read
    assert (reading(block, "cpu") is not None) is read
