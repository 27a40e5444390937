"""Every query, variable and annotation of every dashboard, asked of a real Prometheus with the project's own rules.

It scrapes a page of the real `RunMetrics` that grows with each scrape: parsed, no warning, not empty, and every label
that a legend names is there. What this can't show is Grafana itself: transformations and how a panel looks.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from grafana_files import FILES, PROMETHEUS, Dashboard, Panel, Target, Variable, label_values, load, substituted
from harness_page import Growing, served
from prometheus_server import Answer, QueryData, Series, Server, running, wait_for

SCRAPES = 8
"""Enough for a rate over four scrapes and for rules on top of it."""
FILL_S = 60.0
"""How long the scrapes may take, at one a second."""
BEFORE_S = 300.0
"""The shown time: longer than the test, like a dashboard that was opened before the run."""
VALUES: Mapping[str, str] = {
    **dict.fromkeys(("job", "instance", "scenario", "arm"), ".+"),
    "__rate_interval": "4s",
    "__range": f"{BEFORE_S:g}s",
}

DASHBOARDS: list[Dashboard] = [load(file) for file in FILES]
QUERIES = [
    pytest.param(panel, target, id=f"{dashboard.uid}-{panel.title}-{target.ref_id}")
    for dashboard in DASHBOARDS
    for panel, target in dashboard.queries()
]


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


@dataclass(frozen=True)
class Filled:
    """A server with a run in it, and the end of the shown time."""

    server: Server
    end: float

    def range(self, expression: str) -> list[Series]:
        """The series of an expression over the shown time."""
        answer = self.server.api(
            "query_range",
            query=substituted(expression, VALUES),
            start=str(self.end - BEFORE_S),
            end=str(self.end),
            step="1",
        )
        return checked(answer)

    def instant(self, expression: str, **chosen: str) -> list[Series]:
        """The series of an expression at the end of the shown time, with these values of variables."""
        query = substituted(expression, {**VALUES, **chosen})
        return checked(self.server.api("query", query=query, time=str(self.end)))


def checked(answer: Answer) -> list[Series]:
    """The series of an answer that has nothing to complain of."""
    assert answer.status == "success", answer.error
    assert answer.warnings + answer.infos == []
    return msgspec.json.decode(answer.data, type=QueryData).result


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
        yield Filled(server, time.time())


def shown(series: list[Series]) -> bool:
    """Whether there is anything that a panel can draw."""
    return any(math.isfinite(number) for one in series for number in one.numbers())


@pytest.mark.parametrize(("panel", "target"), QUERIES)
def test_a_panel_shows_something(filled: Filled, panel: Panel, target: Target) -> None:
    series = filled.range(target.expr) if target.range else filled.instant(target.expr)
    assert shown(series), f"{panel.title} is empty: {target.expr}"
    labels = set(re.findall(r"{{(\w+)}}", target.legend_format))
    assert all(labels <= one.metric.keys() for one in series), (
        f"a legend of {panel.title} names a label that is not there"
    )


@pytest.mark.parametrize(
    ("dashboard", "variable"),
    [
        pytest.param(dashboard, variable, id=f"{dashboard.uid}-{variable.name}")
        for dashboard in DASHBOARDS
        for variable in dashboard.templating.variables
        if variable.type == "query"
    ],
)
def test_a_variable_has_values(filled: Filled, dashboard: Dashboard, variable: Variable) -> None:
    selector, label = label_values(variable.query)
    parameters = {"match[]": substituted(selector, VALUES)}
    answer = filled.server.api(f"label/{label}/values", **parameters)
    assert (answer.status, answer.warnings) == ("success", [])
    assert msgspec.json.decode(answer.data, type=list[str]), f"{variable.name} of {dashboard.title} has no values"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_annotations_mark_something(filled: Filled, dashboard: Dashboard) -> None:
    for annotation in dashboard.annotations.queries:
        series = filled.range(annotation.expr)
        assert shown(series), f"nothing is marked by {annotation.name}"
        labels = set(re.findall(r"{{(\w+)}}", annotation.title_format + annotation.text_format))
        assert all(labels <= one.metric.keys() for one in series)


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
