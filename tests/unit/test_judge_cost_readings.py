"""Readings of costs from one block: their values, and that there is none where the source left nothing."""

from __future__ import annotations

import pytest

from stress import events
from stress.judge.costs import LEAST_FINISHED, costs_of
from tests.unit.histories import Block

NEW = (
    *("scheduled_delay_p50", "scheduled_delay_p95", "queued_delay_p50", "queued_delay_p95", "scheduler_loop"),
    *("rest_p50", "rest_p95", "scheduler_cpu", "api_server_cpu", "transactions"),
)


def value(block: Block, measure: str, tasks: int = 100) -> float | None:
    reading = costs_of(block.end(tasks=tasks).view()).readings.get(measure)
    return None if reading is None else reading[0] / reading[1]


def sampled(commits: int, rollbacks: int = 0) -> events.DatabaseSampled:
    return events.DatabaseSampled(deadlocks=0, commits=commits, rollbacks=rollbacks, sessions=9)


def delays(number: int) -> events.TaskDelays:
    seconds = [n / 1000 for n in range(1, number + 1)]
    return events.TaskDelays(scheduled_s=seconds, queued_s=[10 * each for each in seconds])


@pytest.mark.parametrize("measure", NEW)
def test_a_block_without_the_source_has_no_reading(measure: str) -> None:
    assert value(Block(), measure) is None


def test_delays_are_quantiles_in_milliseconds() -> None:
    found = {name: value(Block().add(65, delays(101)), name) for name in NEW[:4]}
    assert found == {
        "scheduled_delay_p50": pytest.approx(51),
        "scheduled_delay_p95": pytest.approx(96),
        "queued_delay_p50": pytest.approx(510),
        "queued_delay_p95": pytest.approx(960),
    }


def test_a_quantile_needs_twenty_delays() -> None:
    assert value(Block().add(65, delays(19)), "scheduled_delay_p50") is None
    assert value(Block().add(65, delays(20)), "scheduled_delay_p50") is not None


def test_the_loop_is_the_mean_of_the_passes_under_load_of_both_schedulers() -> None:
    block = (
        Block()
        .add(-2, events.SchedulerLooped(component="scheduler-1", seconds=[9.0]))
        .add(1, events.SchedulerLooped(component="scheduler-1", seconds=[0.1] * 10))
        .add(2, events.SchedulerLooped(component="scheduler-2", seconds=[0.4] * 5))
        .add(64, events.SchedulerLooped(component="scheduler-2", seconds=[9.0]))
    )
    assert value(block, "scheduler_loop") == pytest.approx(200)


def test_the_loop_needs_ten_passes() -> None:
    passes = events.SchedulerLooped(component="scheduler-1", seconds=[0.1] * 9)
    assert value(Block().add(1, passes), "scheduler_loop") is None


def test_transactions_are_those_under_load_for_each_finished_task() -> None:
    """100 a second for 60 s of load, seen over 50 s of it."""
    block = Block().add(-1, sampled(0)).add(5, sampled(1000, 5)).add(55, sampled(5900, 105)).add(66, sampled(9999))
    assert value(block, "transactions") == pytest.approx(60)


def test_counters_that_start_again_are_no_reading() -> None:
    block = Block().add(5, sampled(1000)).add(20, sampled(10)).add(55, sampled(5900))
    assert value(block, "transactions") is None


def test_the_latency_of_rest_is_that_of_all_requests() -> None:
    block = Block()
    block.add(65, events.LoadReported(name="GET /dags", requests=30, failures=0, median_ms=1, p95_ms=2))
    block.add(65, events.LoadReported(name="Aggregated", requests=30, failures=0, median_ms=250, p95_ms=900))
    found = costs_of(block.end().view()).readings
    assert (found["rest_p50"], found["rest_p95"]) == ((250, 1.0), (900, 1.0))


def test_cpu_is_by_role_too() -> None:
    seconds = {"scheduler-1": 2.0, "scheduler-2": 1.0, "api-server": 5.0, "postgres": 4.0}
    found = costs_of(Block().add(61, events.CpuUsed(seconds=seconds)).end(tasks=200).view()).readings
    per_thousand = {name: found[name][0] / found[name][1] for name in ("cpu", "scheduler_cpu", "api_server_cpu")}
    assert per_thousand == {"cpu": 60, "scheduler_cpu": 15, "api_server_cpu": 25}


def test_too_few_finished_tasks_are_no_denominator() -> None:
    block = Block().add(5, sampled(1000)).add(55, sampled(5900)).add(61, events.CpuUsed(seconds={"scheduler-1": 2.0}))
    found = costs_of(block.end(tasks=LEAST_FINISHED - 1).view()).readings
    assert not {"transactions", "scheduler_cpu", "cpu"} & set(found)
