"""No race that the harness judges is missing from the alerts and the panels.

Which counters are recorded and which races need a fault is derived from the registry (tests/unit/test_races.py).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stress.layout import ROOT
from stress.races.registry import HEADLINES

DASHBOARDS = ROOT / "dashboards"


def panels(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(file.read_text())["panels"]
    return found


@pytest.mark.parametrize("kind", ["table", "timeseries"])
def test_the_overview_shows_every_race_beside_the_others(kind: str) -> None:
    shown = [panel for panel in panels(DASHBOARDS / "grafana/overview.json") if panel["type"] == kind]
    queries = [target["expr"] for panel in shown for target in panel.get("targets", [])]
    assert any("by (race, arm) (" in query and "incidents" in query and "race=" not in query for query in queries)


@pytest.mark.parametrize("kind", ["stat", "timeseries"])
def test_the_panels_of_a_race_alone_are_of_races_that_are_counted(kind: str) -> None:
    shown = [panel for panel in panels(DASHBOARDS / "grafana/overview.json") if panel["type"] == kind]
    named = set(re.findall(r'race=\\"(\w+)\\"', json.dumps(shown).replace("\\\\", "")))
    assert named >= {"deadlock", "duplicate_callback", "out_of_order_frame"}
    assert named <= set(HEADLINES)


@pytest.mark.parametrize("alert", ["IncidentUnderTest", "BlockJudgedBlind"])
def test_alerts_on_races_name_no_race_so_that_they_hold_for_all(alert: str) -> None:
    rules = (DASHBOARDS / "prometheus/rules/alerts.yml").read_text()
    expression = rules.partition(f"alert: {alert}\n")[2].partition("annotations:")[0]
    assert "airflow_stress_" in expression
    assert "race=" not in expression


def test_the_verdicts_panel_says_what_its_metric_says() -> None:
    (panel,) = [panel for panel in panels(DASHBOARDS / "grafana/overview.json") if panel["title"] == "Verdicts"]
    metrics = (ROOT / "METRICS.md").read_text()
    assert "if the run ended now" in str(panel["description"])
    assert "if the run ended now" in metrics.partition("`airflow_stress_race_verdict`")[2].partition("\n")[0]
