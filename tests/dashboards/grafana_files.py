"""The dashboards as data, with what Grafana puts in for their variables.

Only what the tests look at is typed; msgspec refuses a file where one of these has another type or is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from stress.layout import ROOT

DASHBOARDS = ROOT / "dashboards"
PROMETHEUS = DASHBOARDS / "prometheus"
PROVISIONING = DASHBOARDS / "grafana" / "provisioning"
FILES = sorted((DASHBOARDS / "grafana").glob("*.json"))

_VARIABLE = re.compile(r"\$(\w+)")
_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), (?P<label>\w+)\)")
_SELECTOR = re.compile(
    r"(?:(?P<function>\w+)\()?(?P<metric>[a-zA-Z_:][\w:]*)\{(?P<matchers>[^}]*)\}(?:\[(?P<range>[^\]]+)\])?"
)
_METRIC = re.compile(r"\b(?:airflow_stress_\w+|\w+:airflow_stress_\w+:\w+)")


class _Json(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of a dashboard's file."""


class Datasource(_Json, frozen=True):
    """What answers a query."""

    type: str
    uid: str


class Target(_Json, frozen=True):
    """One query of a panel: over the shown time (`range`) or at its end (`instant`)."""

    datasource: Datasource
    ref_id: str
    expr: str
    legend_format: str
    range: bool
    instant: bool
    format: str = "time_series"


class Property(_Json, frozen=True):
    """One overridden option of some fields."""

    id: str


class Override(_Json, frozen=True):
    """Options of some of a panel's fields only."""

    properties: list[Property]


class FieldDefaults(_Json, frozen=True):
    """Options of all of a panel's fields."""

    unit: str = ""


class FieldConfig(_Json, frozen=True):
    """How values are shown."""

    defaults: FieldDefaults
    overrides: list[Override]


class GridPos(_Json, frozen=True):
    """Where a panel is, on a grid 24 wide."""

    x: int
    y: int
    w: int
    h: int


class Panel(_Json, frozen=True):
    """One panel; a `row` is a heading."""

    id: int
    type: str
    title: str
    grid_pos: GridPos
    description: str = ""
    datasource: Datasource | None = None
    field_config: FieldConfig | None = None
    targets: list[Target] = []


class Variable(_Json, frozen=True):
    """One choice at the top of a dashboard."""

    name: str
    type: str
    label: str
    description: str
    query: str
    refresh: int
    multi: bool
    include_all: bool
    datasource: Datasource | None = None
    all_value: str = ""


class Templating(_Json, frozen=True):
    """All variables."""

    variables: list[Variable] = msgspec.field(name="list")


class Annotation(_Json, frozen=True):
    """Marks over all panels."""

    name: str
    enable: bool
    datasource: Datasource
    expr: str
    title_format: str
    text_format: str


class Annotations(_Json, frozen=True):
    """All annotations."""

    queries: list[Annotation] = msgspec.field(name="list")


class Dashboard(_Json, frozen=True):
    """One dashboard."""

    id: None
    uid: str
    title: str
    description: str
    editable: bool
    schema_version: int
    refresh: str
    tags: list[str]
    panels: list[Panel]
    templating: Templating
    annotations: Annotations

    def views(self) -> list[Panel]:
        """The panels that show something."""
        return [panel for panel in self.panels if panel.type != "row"]

    def queries(self) -> Iterator[tuple[Panel, Target]]:
        """Every query, with its panel."""
        return ((panel, target) for panel in self.views() for target in panel.targets)

    def expressions(self) -> Iterator[tuple[str, str]]:
        """Every expression of panels and annotations, with where it stands."""
        for panel, target in self.queries():
            yield f"panel {panel.title!r} {target.ref_id}", target.expr
        for annotation in self.annotations.queries:
            yield f"annotation {annotation.name!r}", annotation.expr


@dataclass(frozen=True)
class Selector:
    """One selector of an expression: the function right around it and its range in brackets are empty without one."""

    function: str
    metric: str
    matchers: frozenset[str]
    range: str


def load(file: Path) -> Dashboard:
    """Read one dashboard."""
    return msgspec.json.decode(file.read_bytes(), type=Dashboard)


def selectors(expression: str) -> list[Selector]:
    """Every selector. Each must have braces, which is also what tells it from a function or a label here."""
    found = [
        Selector(m["function"] or "", m["metric"], frozenset(m["matchers"].split(", ")), m["range"] or "")
        for m in _SELECTOR.finditer(expression)
    ]
    bare = _METRIC.findall(_SELECTOR.sub("", expression))
    assert not bare, f"selectors without braces in {expression}: {bare}"
    return found


def metrics_in(text: str) -> set[str]:
    """Every metric of ours, raw or recorded, that a text names."""
    return set(_METRIC.findall(text))


def label_values(query: str) -> tuple[str, str]:
    """The selector and the label of a variable's query."""
    match = _LABEL_VALUES.fullmatch(query)
    assert match, f"{query} is not label_values(selector, label)"
    return match["selector"], match["label"]


def substituted(expression: str, values: Mapping[str, str]) -> str:
    """The expression as Prometheus gets it. A variable without a value is an error, as it would be in Grafana."""
    return _VARIABLE.sub(lambda match: values[match[1]], expression)
