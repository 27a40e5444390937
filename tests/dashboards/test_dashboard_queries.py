"""Every query, variable and annotation of every dashboard, asked of a real Prometheus with the project's own rules.

It scrapes a page of the real `RunMetrics` that grows with each scrape: parsed, no warning, not empty, and every label
that a legend names is there. What this can't show is Grafana itself: transformations and how a panel looks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.dashboards.asked import DASHBOARDS, QUERIES, VARIABLES, Filled, shown
from tests.dashboards.grafana_files import PROMETHEUS, Dashboard, Panel, Target, Variable
from tests.dashboards.harness_page import Growing, served
from tests.dashboards.prometheus_server import running, wait_for

SCRAPES = 8
"""Enough for a rate over four scrapes and for rules on top of it."""
FILL_S = 60.0
"""How long the scrapes may take, at one a second."""
BEFORE_S = 300.0
"""The shown time: longer than the test, like a dashboard that was opened before the run."""


class RuleState(msgspec.Struct, frozen=True):
    """What a server thinks of a rule."""

    name: str
    health: str


class Group(msgspec.Struct, frozen=True):
    """A group of rules."""

    rules: list[RuleState]


class Groups(msgspec.Struct, frozen=True):
    """All rules."""

    groups: list[Group]


def config_for(port: int) -> str:
    """The compose cluster's configuration, for a page on the loopback, faster."""
    config = (PROMETHEUS / "prometheus.yml").read_text()
    for old, new in (
        ("scrape_interval: 5s", "scrape_interval: 1s"),
        ("evaluation_interval: 5s", "evaluation_interval: 1s"),
        ("- rules/*.yml", f"- {PROMETHEUS}/rules/*.yml"),
        ("- stress:9108", f"- 127.0.0.1:{port}"),
    ):
        assert config.count(old) == 1
        config = config.replace(old, new)
    return config


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """A Prometheus that has scraped a run a few times and evaluated the rules on all of it."""
    metrics = Growing()
    directory: Path = tmp_path_factory.mktemp("prometheus")
    with served(metrics) as page, running(config_for(page), directory) as server:

        def full() -> bool:
            # What comes last: rules on rules with most of the scrapes in them, a rate, and an alert.
            difference = server.query("race:airflow_stress_incidents:control_minus_under_test")
            return (
                metrics.steps >= SCRAPES
                and any(number >= SCRAPES / 2 for series in difference for number in series.numbers())
                and bool(server.query("operation:airflow_stress_execution_api_5xx:ratio_rate1m"))
                and bool(server.query('ALERTS{alertname="ObserverBlind", alertstate="firing"}'))
            )

        wait_for(
            f"{SCRAPES} scrapes and the rules on them",
            full,
            FILL_S,
            lambda: (
                f"{metrics.steps} scrapes\n{server.get('/api/v1/targets')[1]!r}\n{server.get('/api/v1/rules')[1]!r}"
            ),
        )
        yield Filled(server, time.time(), BEFORE_S, step_s=1, rate_interval="4s")


@pytest.mark.parametrize(("panel", "target"), QUERIES)
def test_a_panel_shows_something(filled: Filled, panel: Panel, target: Target) -> None:
    filled.panel_shows(panel, target)


@pytest.mark.parametrize(("dashboard", "variable"), VARIABLES)
def test_a_variable_has_values(filled: Filled, dashboard: Dashboard, variable: Variable) -> None:
    filled.variable_has_values(dashboard, variable)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_annotations_mark_something(filled: Filled, dashboard: Dashboard) -> None:
    filled.annotations_mark(dashboard)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_a_chosen_arm_is_the_only_one_shown(filled: Filled, dashboard: Dashboard) -> None:
    queries = [(panel, target) for panel, target in dashboard.queries() if "$arm" in target.expr]
    assert queries
    for panel, target in queries:
        arms = {one.metric["arm"] for one in filled.instant(target.expr, arm="stock") if "arm" in one.metric}
        assert arms <= {"stock"}, panel.title


def test_every_rule_could_be_evaluated(filled: Filled) -> None:
    answer = filled.server.api("rules")
    groups = msgspec.json.decode(answer.data, type=Groups).groups
    assert groups
    assert [rule.name for group in groups for rule in group.rules if rule.health != "ok"] == []


def test_a_query_of_a_metric_that_is_not_there_would_be_seen(filled: Filled) -> None:
    assert not shown(filled.range('sum(airflow_stress_renamed{job=~"$job"})'))
