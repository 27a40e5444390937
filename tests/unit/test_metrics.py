"""The metrics: every series is there at 0 from the start, under its contracted name, and counters only grow."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from stress import events
from stress.faults import FAULTS
from stress.metrics import API_BUCKETS_S, RunMetrics
from stress.races.registry import CAUSES, HEADLINES, scenario_of
from stress.results import RaceState

ARMS = ("stock", "fixed")
OBSERVERS = ("postgres_log", "database")


@pytest.fixture
def metrics() -> RunMetrics:
    """A run's metrics before anything has happened."""
    return RunMetrics(
        arms=ARMS,
        scenario_of={race: scenario_of(race) for race in CAUSES},
        causes_of=CAUSES,
        observers=OBSERVERS,
        info={"airflow": "3.2.1", "runtime": "local"},
    )


def scraped(metrics: RunMetrics) -> list[Metric]:
    """The families as a scrape reads them."""
    registry = CollectorRegistry()
    registry.register(metrics)
    return list(text_string_to_metric_families(generate_latest(registry).decode()))


def values(metrics: RunMetrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in scraped(metrics)
        for sample in family.samples
    }


def value(metrics: RunMetrics, name: str, **labels: str) -> float:
    return values(metrics)[f"airflow_stress_{name}", tuple(sorted(labels.items()))]


def family_names(families: Iterable[Metric]) -> set[str]:
    return {family.name for family in families}


def test_the_contracted_metrics_are_there(metrics: RunMetrics) -> None:
    # A counter's family has no `_total`: that is its sample's suffix.
    assert family_names(scraped(metrics)) >= {
        f"airflow_stress_{name}"
        for name in (
            *("deadlocks", "duplicate_callbacks", "out_of_order_frames", "stuck_tasks", "lost_callbacks"),
            *("opportunities", "checks"),
            *("observer_up", "observer_errors", "faults_injected", "fault_active", "component_restarts"),
            *("execution_api_requests", "execution_api_request_duration_seconds", "run_info"),
        )
    }


def test_counters_end_in_total(metrics: RunMetrics) -> None:
    samples = {s.name for family in scraped(metrics) if family.type == "counter" for s in family.samples}
    assert samples
    assert all(name.endswith("_total") for name in samples)


def test_nothing_has_another_prefix(metrics: RunMetrics) -> None:
    assert all(name.startswith("airflow_stress_") for name in family_names(scraped(metrics)))


def test_everything_but_the_run_s_info_is_0_at_the_start(metrics: RunMetrics) -> None:
    assert {name for (name, _), value in values(metrics).items() if value} == {"airflow_stress_run_info"}


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("race", HEADLINES)
def test_every_known_cause_has_a_series_from_the_start(metrics: RunMetrics, arm: str, race: str) -> None:
    for cause in CAUSES[race]:
        labels = {"arm": arm, "scenario": scenario_of(race), "cause": cause}
        assert value(metrics, f"{HEADLINES[race].name}_total", **labels) == 0


def test_incidents_are_counted_by_arm_scenario_and_cause(metrics: RunMetrics) -> None:
    metrics.found("deadlock", "stock", 0, {"scheduler_vs_scheduler": 2, "api-server_vs_scheduler": 1}, 50)
    labels = {"arm": "stock", "scenario": "version_churn"}
    assert value(metrics, "deadlocks_total", cause="scheduler_vs_scheduler", **labels) == 2
    assert value(metrics, "deadlocks_total", cause="api-server_vs_scheduler", **labels) == 1
    assert value(metrics, "opportunities_total", race="deadlock", **labels) == 50


def test_what_was_found_before_is_not_counted_again(metrics: RunMetrics) -> None:
    for count in (1, 1, 3, 3):
        metrics.found("deadlock", "stock", 0, {"scheduler_vs_scheduler": count}, 10 * count)
    labels = {"arm": "stock", "scenario": "version_churn"}
    assert value(metrics, "deadlocks_total", cause="scheduler_vs_scheduler", **labels) == 3
    assert value(metrics, "opportunities_total", race="deadlock", **labels) == 30


def test_blocks_add_up(metrics: RunMetrics) -> None:
    for block in range(3):
        metrics.found("deadlock", "stock", block, {"scheduler_vs_scheduler": 2}, 5)
    labels = {"arm": "stock", "scenario": "version_churn"}
    assert value(metrics, "deadlocks_total", cause="scheduler_vs_scheduler", **labels) == 6
    assert value(metrics, "opportunities_total", race="deadlock", **labels) == 15


def test_an_incident_whose_cause_is_told_anew_is_not_counted_again(metrics: RunMetrics) -> None:
    metrics.found("duplicate_callback", "stock", 0, {"two_triggerers": 2}, 5)
    metrics.found("duplicate_callback", "stock", 0, {"two_schedulers_and_two_triggerers": 2}, 5)
    metrics.found("duplicate_callback", "stock", 0, {"two_schedulers_and_two_triggerers": 3}, 5)
    labels = {"arm": "stock", "scenario": "deadline_miss"}
    counts = {
        cause: value(metrics, "duplicate_callbacks_total", cause=cause, **labels)
        for cause in CAUSES["duplicate_callback"]
    }
    seen = {cause: count for cause, count in counts.items() if count}
    assert seen == {"two_triggerers": 2, "two_schedulers_and_two_triggerers": 1}


def test_no_counter_ever_falls(metrics: RunMetrics) -> None:
    before = values(metrics)
    for causes, opportunities in (({"a": 3}, 9), ({"b": 3}, 4), ({"a": 1, "b": 1}, 2), ({}, 0), ({"c": 4}, 12)):
        metrics.found("deadlock", "stock", 0, causes, opportunities)
        after = values(metrics)
        assert all(after[key] >= value for key, value in before.items())
        before = after
    total = sum(value for (name, _), value in before.items() if name == "airflow_stress_deadlocks_total")
    assert total == 4


@pytest.mark.parametrize(("blind", "result"), [(False, "seen"), (True, "blind")])
def test_checks_are_counted_by_whether_everything_was_seen(metrics: RunMetrics, blind: bool, result: str) -> None:
    metrics.checked("deadlock", "fixed", blind=blind)
    assert value(metrics, "checks_total", race="deadlock", arm="fixed", result=result) == 1


def test_an_observer_that_sees_is_up(metrics: RunMetrics) -> None:
    metrics.observer("database", up=True)
    assert value(metrics, "observer_up", observer="database") == 1
    assert value(metrics, "observer_errors_total", observer="database") == 0


def test_an_observer_that_lost_its_source_is_down_and_counted(metrics: RunMetrics) -> None:
    metrics.observer("database", up=True)
    metrics.observer("database", up=False, error=True)
    assert value(metrics, "observer_up", observer="database") == 0
    assert value(metrics, "observer_errors_total", observer="database") == 1


def test_restarts_are_counted_by_component(metrics: RunMetrics) -> None:
    metrics.restarted("stock", "triggerer-1")
    assert value(metrics, "component_restarts_total", arm="stock", component="triggerer-1") == 1


@pytest.mark.parametrize(("code", "family"), [(204, "2xx"), (409, "4xx"), (500, "5xx"), (0, "none")])
def test_api_answers_are_counted_by_the_class_of_their_code(metrics: RunMetrics, code: int, family: str) -> None:
    metrics.answered("stock", "success", code, 3, 0.6, [3] + [0] * len(API_BUCKETS_S))
    assert value(metrics, "execution_api_requests_total", arm="stock", operation="success", code=family) == 3


def test_durations_are_a_histogram_in_seconds(metrics: RunMetrics) -> None:
    metrics.answered("stock", "run", 200, 3, 40.5, [1, 1, *[0] * (len(API_BUCKETS_S) - 2), 1])
    labels = {"arm": "stock", "operation": "run"}
    name = "execution_api_request_duration_seconds"
    assert value(metrics, f"{name}_bucket", le="0.005", **labels) == 1
    assert value(metrics, f"{name}_bucket", le="0.01", **labels) == 2
    assert value(metrics, f"{name}_bucket", le="30.0", **labels) == 2
    assert value(metrics, f"{name}_bucket", le="+Inf", **labels) == 3
    assert value(metrics, f"{name}_count", **labels) == 3
    assert value(metrics, f"{name}_sum", **labels) == 40.5


def test_finished_tasks_add_up(metrics: RunMetrics) -> None:
    metrics.finished_tasks("stock", 5)
    metrics.finished_tasks("stock", 6)
    assert value(metrics, "finished_task_instances_total", arm="stock") == 11


def test_the_run_s_info_is_1_and_has_no_id(metrics: RunMetrics) -> None:
    assert value(metrics, "run_info", airflow="3.2.1", runtime="local") == 1


def test_labels_are_bounded(metrics: RunMetrics) -> None:
    metrics.found("deadlock", "stock", 0, {"scheduler_vs_scheduler": 2}, 5)
    metrics.found("deadlock", "stock", 987654, {"scheduler_vs_scheduler": 2}, 5)
    labels = {label for (_, pairs) in values(metrics) for label, _ in pairs}
    bounded = {"arm", "scenario", "cause", "race", "result", "observer", "component", "operation", "code", "le"}
    assert labels <= bounded | {"fault", "airflow", "runtime", "outcome", "verdict"}
    assert not any(re.search(r"\d{4}", text) for _, pairs in values(metrics) for _, text in pairs)


def test_every_family_has_a_help_text(metrics: RunMetrics) -> None:
    assert all(family.documentation for family in scraped(metrics))


def one(metrics: RunMetrics, name: str, **labels: str) -> float:
    """The value of one series."""
    return values(metrics)[f"airflow_stress_{name}", tuple(sorted(labels.items()))]


def test_a_component_is_up_from_its_start_to_its_exit(metrics: RunMetrics) -> None:
    metrics.heard("stock", events.ComponentStarted(component="scheduler-1", pid=1, restarts=0))
    assert one(metrics, "component_up", component="scheduler-1") == 1
    metrics.heard("stock", events.ComponentExited(component="scheduler-1", pid=1, code=1))
    assert one(metrics, "component_up", component="scheduler-1") == 0


def test_between_blocks_nothing_is_up(metrics: RunMetrics) -> None:
    metrics.heard("stock", events.BlockStarted(arm="stock"))
    metrics.heard("stock", events.ComponentStarted(component="scheduler-1", pid=1, restarts=0))
    metrics.heard("stock", events.ObserverUp(observer="database"))
    assert one(metrics, "block_running", arm="stock") == 1
    metrics.heard("stock", events.BlockEnded(complete=True))
    assert one(metrics, "block_running", arm="stock") == 0
    assert one(metrics, "component_up", component="scheduler-1") == 0
    assert one(metrics, "observer_up", observer="database") == 0


def test_polls_add_up_over_the_lives_of_a_runner(metrics: RunMetrics) -> None:
    for pid, polls in ((1, 5), (1, 8), (2, 3)):
        progress = events.TriggersProgressed(at=0.0, component="triggerer-1", pid=pid, polls=polls, active=4)
        metrics.heard("stock", progress)
    assert one(metrics, "trigger_polls_total", arm="stock", component="triggerer-1") == 11
    assert one(metrics, "triggers_running", arm="stock", component="triggerer-1") == 4


def test_transactions_count_from_a_block_s_first_sample(metrics: RunMetrics) -> None:
    for commits in (100, 130):
        sample = events.DatabaseSampled(deadlocks=0, commits=commits, rollbacks=2, sessions=7, lock_waits=3)
        metrics.heard("stock", sample)
    assert one(metrics, "database_transactions_total", arm="stock", outcome="commit") == 30
    assert one(metrics, "database_sessions", arm="stock") == 7
    assert one(metrics, "database_lock_waits", arm="stock") == 3


def test_one_verdict_at_a_time(metrics: RunMetrics) -> None:
    metrics.judged({"deadlock": RaceState.UNKNOWN})
    metrics.judged({"deadlock": RaceState.REMOVED})
    assert one(metrics, "race_verdict", race="deadlock", verdict="removed") == 1
    assert one(metrics, "race_verdict", race="deadlock", verdict="unknown") == 0


def begins(fault: str) -> events.FaultInjected:
    return events.FaultInjected(number=0, fault=fault, target="triggerer-1", planned_s=3.0)


def ends(fault: str) -> events.FaultHealed:
    return events.FaultHealed(number=0, fault=fault, target="triggerer-1", seconds=3.0)


def test_every_fault_of_every_arm_is_there_at_0_from_the_start(metrics: RunMetrics) -> None:
    for arm in ARMS:
        for fault in FAULTS:
            assert value(metrics, "faults_injected_total", arm=arm, fault=fault) == 0
            assert value(metrics, "fault_active", arm=arm, fault=fault) == 0


def test_a_fault_is_counted_when_it_begins_and_active_until_it_ends(metrics: RunMetrics) -> None:
    for count in (1, 2):
        metrics.heard("stock", begins("pause"))
        assert value(metrics, "fault_active", arm="stock", fault="pause") == 1
        assert value(metrics, "faults_injected_total", arm="stock", fault="pause") == count
        metrics.heard("stock", ends("pause"))
        assert value(metrics, "fault_active", arm="stock", fault="pause") == 0
        assert value(metrics, "faults_injected_total", arm="stock", fault="pause") == count


def test_a_fault_is_its_own_arm_s(metrics: RunMetrics) -> None:
    metrics.heard("stock", begins("pause"))
    assert value(metrics, "fault_active", arm="fixed", fault="pause") == 0
    assert value(metrics, "fault_active", arm="stock", fault="kill") == 0


def test_no_fault_is_active_when_its_block_is_over(metrics: RunMetrics) -> None:
    metrics.heard("stock", begins("cutoff"))
    metrics.heard("stock", events.BlockEnded(complete=False, reason="the harness was killed"))
    assert value(metrics, "fault_active", arm="stock", fault="cutoff") == 0
