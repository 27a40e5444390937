"""No race that the harness judges is missing from the recording rules, the alerts and the panels."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from stress.checkers import CHECKERS
from stress.layout import ROOT
from stress.metrics import HEADLINES, PREFIX
from stress.scenarios import SCENARIOS

DASHBOARDS = ROOT / "dashboards"
RULE = re.compile(
    r"record: cause:airflow_stress_incidents:sum\s+expr: sum by \([^)]*\) \((\w+)\)\s+labels:\s+race: (\w+)"
)


def panels(file: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(file.read_text())["panels"]
    return found


def test_every_judged_race_has_a_counter() -> None:
    assert set(HEADLINES) == set(CHECKERS)


def test_every_races_counter_is_recorded_under_the_races_name() -> None:
    recorded = {
        race: counter for counter, race in RULE.findall((DASHBOARDS / "prometheus/rules/recording.yml").read_text())
    }
    assert recorded == {race: f"{PREFIX}{name}_total" for race, (name, _) in HEADLINES.items()}


@pytest.mark.parametrize("kind", ["stat", "timeseries"])
@pytest.mark.parametrize("race", CHECKERS)
def test_the_overview_shows_every_race(race: str, kind: str) -> None:
    shown = [panel for panel in panels(DASHBOARDS / "grafana/overview.json") if panel["type"] == kind]
    assert any(f'race="{race}"' in json.dumps(panel).replace('\\"', '"') for panel in shown)


@pytest.mark.parametrize("alert", ["IncidentUnderTest", "BlockJudgedBlind"])
def test_alerts_on_races_name_no_race_so_that_they_hold_for_all(alert: str) -> None:
    rules = (DASHBOARDS / "prometheus/rules/alerts.yml").read_text()
    expression = rules.partition(f"alert: {alert}\n")[2].partition("annotations:")[0]
    assert "airflow_stress_" in expression
    assert "race=" not in expression


def test_a_silent_control_alerts_for_every_race_that_needs_no_fault_and_for_no_other() -> None:
    rules = (DASHBOARDS / "prometheus/rules/alerts.yml").read_text()
    expression = rules.partition("alert: ControlShowsNothing\n")[2].partition("annotations:")[0]
    (excluded,) = re.findall(r'race!~"([^"]*)"', expression)
    assert set(excluded.split("|")) == {race for scenario in SCENARIOS.values() for race in scenario.fault_races}


def test_the_verdicts_panel_says_what_its_metric_says() -> None:
    (panel,) = [panel for panel in panels(DASHBOARDS / "grafana/overview.json") if panel["title"] == "Verdicts"]
    metrics = (ROOT / "METRICS.md").read_text()
    assert "if the run ended now" in str(panel["description"])
    assert "if the run ended now" in metrics.partition("`airflow_stress_race_verdict`")[2].partition("\n")[0]
