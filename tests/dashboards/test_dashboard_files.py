"""The dashboards' files: complete, alike in form, and of metrics that exist. Grafana itself is not needed for it."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path

import pytest

from tests.dashboards.grafana_files import DASHBOARDS, FILES, PROMETHEUS, PROVISIONING, Panel, load, metrics_in
from tests.dashboards.harness_page import exported_names

CURRENT_SCHEMA = 39
"""The schema version of Grafana 11.0."""

every_dashboard = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def recorded() -> set[str]:
    return set(re.findall(r"- record: (\S+)", (PROMETHEUS / "rules" / "recording.yml").read_text()))


def test_the_dashboards_of_the_project_are_there() -> None:
    assert {file.stem for file in FILES} == {"airflow", "database", "overview"}


@every_dashboard
def test_a_file_is_formatted_so_that_a_change_shows_as_a_change(file: Path) -> None:
    text = file.read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n", (
        f"reformat: python -m json.tool --indent 2 --sort-keys --no-ensure-ascii {file.name} {file.name}"
    )


@every_dashboard
def test_a_dashboard_is_for_a_current_grafana_and_can_be_linked_to(file: Path) -> None:
    dashboard = load(file)
    assert dashboard.schema_version >= CURRENT_SCHEMA
    assert dashboard.uid == f"airflow-stress-{file.stem}"
    assert dashboard.title.startswith("airflow-stress / ")
    assert dashboard.description
    assert dashboard.tags == ["airflow-stress"]


@every_dashboard
def test_panels_have_their_own_ids_and_do_not_overlap(file: Path) -> None:
    def overlap(one: Panel, other: Panel) -> bool:
        a, b = one.grid_pos, other.grid_pos
        return a.x < b.x + b.w and b.x < a.x + a.w and a.y < b.y + b.h and b.y < a.y + a.h

    panels = load(file).panels
    assert len({panel.id for panel in panels}) == len(panels)
    assert all(p.grid_pos.x >= 0 and p.grid_pos.x + p.grid_pos.w <= 24 for p in panels)
    assert [(a.title, b.title) for a, b in combinations(panels, 2) if overlap(a, b)] == []


@every_dashboard
def test_titles_tell_panels_apart(file: Path) -> None:
    titles = [panel.title for panel in load(file).views()]
    assert sorted(titles) == sorted(set(titles))


@every_dashboard
def test_a_query_is_either_over_a_range_or_at_an_instant(file: Path) -> None:
    assert [p.title for p, t in load(file).queries() if t.range == t.instant] == []


@every_dashboard
def test_every_dashboard_can_choose_what_is_compared(file: Path) -> None:
    names = [variable.name for variable in load(file).templating.variables]
    assert names == ["datasource", "job", "instance", "scenario", "arm"]


@every_dashboard
def test_every_variable_is_used(file: Path) -> None:
    dashboard = load(file)
    text = file.read_text()
    assert [
        v.name for v in dashboard.templating.variables if f"${v.name}" not in text and f"${{{v.name}}}" not in text
    ] == []


@every_dashboard
def test_faults_are_marked(file: Path) -> None:
    assert any("airflow_stress_fault_active{" in a.expr and a.enable for a in load(file).annotations.queries)


@every_dashboard
def test_nothing_hides_a_metric_that_is_not_there(file: Path) -> None:
    assert [at for at, expression in load(file).expressions() if re.search(r"\bvector\s*\(|\babsent", expression)] == []


@every_dashboard
def test_no_data_source_but_the_chosen_one_is_named(file: Path) -> None:
    assert set(re.findall(r'"uid": "([^"]*)"', file.read_text())) == {"${datasource}", load(file).uid}


@pytest.mark.parametrize(
    "file", [*FILES, *sorted(PROMETHEUS.glob("*/*.yml"))], ids=lambda file: str(file.relative_to(DASHBOARDS))
)
def test_every_metric_exists(file: Path) -> None:
    assert metrics_in(file.read_text()) - exported_names() - recorded() == set()


def test_every_recorded_series_is_used() -> None:
    files = [*FILES, PROMETHEUS / "rules" / "alerts.yml", PROMETHEUS / "rules" / "recording.yml"]
    text = re.sub(r"- record: \S+", "", "".join(file.read_text() for file in files))
    assert recorded() - metrics_in(text) == set()


def test_grafana_finds_its_data_source_and_dashboards() -> None:
    source = (PROVISIONING / "datasources" / "prometheus.yml").read_text()
    provider = (PROVISIONING / "dashboards" / "airflow-stress.yml").read_text()
    for line in ("apiVersion: 1", "uid: airflow-stress-prometheus", "type: prometheus", "isDefault: true"):
        assert re.search(rf"^[ -]*{line}$", source, re.MULTILINE), line
    for line in ("apiVersion: 1", "type: file", "path: /var/lib/grafana/dashboards", "allowUiUpdates: false"):
        assert re.search(rf"^[ -]*{line}$", provider, re.MULTILINE), line


def test_grafana_knows_how_often_prometheus_scrapes() -> None:
    config = (PROMETHEUS / "prometheus.yml").read_text()
    source = (PROVISIONING / "datasources" / "prometheus.yml").read_text()
    scrape = re.search(r"scrape_interval: (\S+)", config)
    interval = re.search(r"timeInterval: (\S+)", source)
    assert scrape
    assert interval
    assert scrape[1] == interval[1]
