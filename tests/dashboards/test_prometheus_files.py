"""Prometheus' files, by its own tool: configurations, rules, and the rules' unit tests."""

from __future__ import annotations

import re

import pytest

from tests.dashboards.grafana_files import PROMETHEUS
from tests.dashboards.prometheus_server import promtool

RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
RULE_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
ALERTS = re.findall(r"- alert: (\S+)", (PROMETHEUS / "rules" / "alerts.yml").read_text())
RECORDED = sorted(set(re.findall(r"- record: (\S+)", (PROMETHEUS / "rules" / "recording.yml").read_text())))


@pytest.mark.parametrize("name", ["prometheus.yml", "local.yml"])
def test_a_configuration_and_its_rules_are_valid(name: str) -> None:
    result = promtool("check", "config", "--lint=all", "--lint-fatal", str(PROMETHEUS / name))
    assert result.returncode == 0, result.stdout
    assert f"SUCCESS: {len(RULES)} rule files found" in result.stdout


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_the_rules_do_what_their_unit_tests_say(file: str) -> None:
    result = promtool("test", "rules", str(file))
    assert result.returncode == 0, result.stdout


def test_the_configurations_differ_in_their_target_only() -> None:
    compose, local = (
        [line for line in (PROMETHEUS / name).read_text().splitlines() if not line.startswith("#")]
        for name in ("prometheus.yml", "local.yml")
    )
    assert [pair for pair in zip(compose, local, strict=True) if pair[0] != pair[1]] == [
        ("          - stress:9108", "          - 127.0.0.1:9108")
    ]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_seen_to_fire_and_to_be_silent(alert: str) -> None:
    tests = (PROMETHEUS / "tests" / "alerts.yml").read_text()
    expected = re.findall(rf"alertname: {alert}\n +exp_alerts:(.*)", tests)
    assert {line.strip() for line in expected} == {"", "[]"}


@pytest.mark.parametrize("name", RECORDED)
def test_what_is_recorded_is_computed_in_a_test(name: str) -> None:
    tests = (PROMETHEUS / "tests" / "recording.yml").read_text()
    assert re.search(rf"- expr: {name}\b", tests)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_it_means(alert: str) -> None:
    block = (PROMETHEUS / "rules" / "alerts.yml").read_text().split(f"- alert: {alert}\n")[1].split("- alert:")[0]
    assert re.search(r"severity: (critical|warning|info)\n", block)
    assert "summary:" in block
    assert "description:" in block
