"""The 17 rules of Grafana's dashboard-linter, by its names, on every dashboard.

Written from the rules' documentation, for what these dashboards use; stricter where that is simpler: a rule about some
kinds of panels holds for all that show something. The only other difference: rows are headings, and no panels here.
There is no exception to a rule; one would stand here with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dashboards.grafana_files import FILES, Dashboard, label_values, load, selectors, substituted
from tests.dashboards.prometheus_server import promtool

Rule = Callable[[Dashboard], Iterator[str]]
RULES: dict[str, Rule] = {}
"""Each rule by its name: what breaks it."""

UNITS = {"short", "none", "percentunit", "s", "ops", "reqps", "cpm"}
"""The units of Grafana that these dashboards use."""

RATES = {"rate", "irate", "increase"}

ANY_VALUES = {"job": ".+", "instance": ".+", "scenario": ".+", "arm": ".+", "__rate_interval": "20s", "__range": "30m"}


def rule(name: str) -> Callable[[Rule], Rule]:
    """Register a rule under its name."""

    def register(function: Rule) -> Rule:
        RULES[name] = function
        return function

    return register


def templated(dashboard: Dashboard, name: str) -> Iterator[str]:
    """What is wrong with a variable that chooses scrape targets."""
    variables = [variable for variable in dashboard.templating.variables if variable.name == name]
    if not variables:
        yield f"there is no variable {name}"
    for variable in variables:
        if variable.type != "query" or variable.datasource is None or variable.datasource.uid != "${datasource}":
            yield f"{name} is no query of the chosen data source"
        if variable.label != name.title() or not variable.multi or variable.all_value != ".+":
            yield f"{name} is not labelled {name.title()}, not for several values, or its All is not .+"


def matched(dashboard: Dashboard, name: str) -> Iterator[str]:
    """Selectors that do not ask for the chosen scrape targets."""
    for at, expression in dashboard.expressions():
        for selector in selectors(expression):
            if f'{name}=~"${name}"' not in selector.matchers:
                yield f"{at}: {selector.metric} has no {name}"


@rule("template-datasource-rule")
def has_templated_datasource(dashboard: Dashboard) -> Iterator[str]:
    """The data source is a variable with the usual name."""
    found = [(v.name, v.label, v.query) for v in dashboard.templating.variables if v.type == "datasource"]
    if found != [("datasource", "Data source", "prometheus")]:
        yield f"data source variables: {found}"


@rule("template-job-rule")
def has_templated_job(dashboard: Dashboard) -> Iterator[str]:
    """The scrape job is a variable."""
    return templated(dashboard, "job")


@rule("template-instance-rule")
def has_templated_instance(dashboard: Dashboard) -> Iterator[str]:
    """The scraped instance is a variable."""
    return templated(dashboard, "instance")


@rule("template-label-promql-rule")
def variables_are_promql(dashboard: Dashboard) -> Iterator[str]:
    """A variable's query is a function of a valid selector."""
    for variable in dashboard.templating.variables:
        if variable.type == "query":
            yield from invalid([label_values(variable.query)[0]])


@rule("template-on-time-change-reload-rule")
def variables_reload(dashboard: Dashboard) -> Iterator[str]:
    """A variable asks again when the shown time changes."""
    yield from (v.name for v in dashboard.templating.variables if v.type == "query" and v.refresh != 2)


@rule("panel-datasource-rule")
def panels_use_the_datasource(dashboard: Dashboard) -> Iterator[str]:
    """Panels, their queries and the annotations use the chosen data source."""
    users = [(panel.title, panel.datasource) for panel in dashboard.views()]
    users += [(panel.title, target.datasource) for panel, target in dashboard.queries()]
    users += [(annotation.name, annotation.datasource) for annotation in dashboard.annotations.queries]
    yield from (title for title, source in users if source is None or source.uid != "${datasource}")


@rule("panel-title-description-rule")
def panels_say_what_they_show(dashboard: Dashboard) -> Iterator[str]:
    """Panels have a title and a description."""
    yield from (f"{p.id} {p.title}" for p in dashboard.views() if not p.title.strip() or not p.description.strip())


@rule("panel-units-rule")
def panels_have_units(dashboard: Dashboard) -> Iterator[str]:
    """Panels have a known unit, and none has another one by an override."""
    for panel in dashboard.views():
        config = panel.field_config
        if config is None or config.defaults.unit not in UNITS:
            yield f"{panel.title} has no known unit"
        elif any(p.id == "unit" for override in config.overrides for p in override.properties):
            yield f"{panel.title} overrides its unit"


@rule("panel-no-targets-rule")
def panels_have_queries(dashboard: Dashboard) -> Iterator[str]:
    """Panels ask for something."""
    yield from (panel.title for panel in dashboard.views() if not panel.targets)


@rule("target-logql-rule")
def no_invalid_logql(dashboard: Dashboard) -> Iterator[str]:
    """LogQL is valid: there is none, since every query goes to a Prometheus."""
    yield from (panel.title for panel, target in dashboard.queries() if target.datasource.type != "prometheus")


@rule("target-logql-auto-rule")
def no_logql_with_fixed_ranges(dashboard: Dashboard) -> Iterator[str]:
    """LogQL uses $__auto: there is no LogQL."""
    return no_invalid_logql(dashboard)


@rule("target-promql-rule")
def queries_are_promql(dashboard: Dashboard) -> Iterator[str]:
    """Every expression is valid PromQL."""
    return invalid([expression for _, expression in dashboard.expressions()])


@rule("target-rate-interval-rule")
def rates_use_the_rate_interval(dashboard: Dashboard) -> Iterator[str]:
    """Rates and increases are over $__rate_interval."""
    for at, expression in dashboard.expressions():
        for selector in selectors(expression):
            if selector.function in RATES and selector.range != "$__rate_interval":
                yield f"{at}: {selector.metric} over {selector.range}"


@rule("target-job-rule")
def queries_match_the_job(dashboard: Dashboard) -> Iterator[str]:
    """Every selector asks for the chosen scrape job."""
    return matched(dashboard, "job")


@rule("target-instance-rule")
def queries_match_the_instance(dashboard: Dashboard) -> Iterator[str]:
    """Every selector asks for the chosen instance."""
    return matched(dashboard, "instance")


@rule("target-counter-agg-rule")
def counters_are_rates(dashboard: Dashboard) -> Iterator[str]:
    """A counter is only shown as a rate or an increase."""
    for at, expression in dashboard.expressions():
        for selector in selectors(expression):
            if selector.metric.endswith("_total") and selector.function not in RATES:
                yield f"{at}: {selector.metric}"


@rule("uneditable-dashboard")
def is_not_editable(dashboard: Dashboard) -> Iterator[str]:
    """The file is the source, not what somebody saved in Grafana."""
    if dashboard.editable:
        yield "it is editable"


def invalid(expressions: list[str]) -> Iterator[str]:
    """What promtool has against expressions: it parses them as recording rules, and JSON is YAML."""
    rules = [
        {"record": f"expression:{place}", "expr": substituted(expression, ANY_VALUES)}
        for place, expression in enumerate(expressions)
    ]
    result = promtool("check", "rules", "/dev/stdin", stdin=json.dumps({"groups": [{"name": "all", "rules": rules}]}))
    if result.returncode != 0:
        yield result.stdout


def test_all_rules_are_here() -> None:
    assert len(RULES) == 17


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_linter_s_rules_hold(file: Path, name: str) -> None:
    assert list(RULES[name](load(file))) == []
