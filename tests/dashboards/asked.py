"""Dashboards asked of a Prometheus that has a run in it: every query as Grafana would send it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import pytest

from tests.dashboards.grafana_files import FILES, Dashboard, Panel, Target, Variable, label_values, load, substituted
from tests.dashboards.prometheus_server import Answer, QueryData, Series, Server

DASHBOARDS: list[Dashboard] = [load(file) for file in FILES]
QUERIES = [
    pytest.param(panel, target, id=f"{dashboard.uid}-{panel.title}-{target.ref_id}")
    for dashboard in DASHBOARDS
    for panel, target in dashboard.queries()
]


VARIABLES = [
    pytest.param(dashboard, variable, id=f"{dashboard.uid}-{variable.name}")
    for dashboard in DASHBOARDS
    for variable in dashboard.templating.variables
    if variable.type == "query"
]


@dataclass(frozen=True)
class Filled:
    """A server with a run in it, the end of the shown time (Unix) and its length, s; `step` is Grafana's, s."""

    server: Server
    end: float
    shown_s: float
    step_s: float
    rate_interval: str

    @property
    def values(self) -> Mapping[str, str]:
        """What stands for the variables: everything chosen."""
        return {
            **dict.fromkeys(("job", "instance", "scenario", "arm"), ".+"),
            "__rate_interval": self.rate_interval,
            "__range": f"{self.shown_s:.0f}s",
        }

    def range(self, expression: str) -> list[Series]:
        """The series of an expression over the shown time."""
        answer = self.server.api(
            "query_range",
            query=substituted(expression, self.values),
            start=str(self.end - self.shown_s),
            end=str(self.end),
            step=f"{self.step_s:g}",
        )
        return checked(answer)

    def instant(self, expression: str, **chosen: str) -> list[Series]:
        """The series of an expression at the end of the shown time, with these values of variables."""
        query = substituted(expression, {**self.values, **chosen})
        return checked(self.server.api("query", query=query, time=str(self.end)))

    def panel_shows(self, panel: Panel, target: Target) -> None:
        """A panel's query is not empty, and every label that its legend names is there."""
        series = self.range(target.expr) if target.range else self.instant(target.expr)
        assert shown(series), f"{panel.title} is empty: {target.expr}"
        labels = set(re.findall(r"{{(\w+)}}", target.legend_format))
        assert all(labels <= one.metric.keys() for one in series), (
            f"a legend of {panel.title} names a label that is not there"
        )

    def variable_has_values(self, dashboard: Dashboard, variable: Variable) -> None:
        """A variable has something to choose from."""
        selector, label = label_values(variable.query)
        answer = self.server.api(
            f"label/{label}/values",
            **{
                "match[]": substituted(selector, self.values),
                "start": str(self.end - self.shown_s),
                "end": str(self.end),
            },
        )
        assert (answer.status, answer.warnings) == ("success", [])
        assert msgspec.json.decode(answer.data, type=list[str]), f"{variable.name} of {dashboard.title} has no values"

    def annotations_mark(self, dashboard: Dashboard) -> None:
        """Every annotation marks something."""
        for annotation in dashboard.annotations.queries:
            series = self.range(annotation.expr)
            assert shown(series), f"nothing is marked by {annotation.name}"
            labels = set(re.findall(r"{{(\w+)}}", annotation.title_format + annotation.text_format))
            assert all(labels <= one.metric.keys() for one in series)


def checked(answer: Answer) -> list[Series]:
    """The series of an answer that has nothing to complain of."""
    assert answer.status == "success", answer.error
    assert answer.warnings + answer.infos == []
    return msgspec.json.decode(answer.data, type=QueryData).result


def shown(series: list[Series]) -> bool:
    """Whether there is anything that a panel can draw."""
    return any(math.isfinite(number) for one in series for number in one.numbers())
