"""docs/adding-a-race.md, done in a copy of the project: the files of the page, and no other, make a race."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stress.layout import ROOT

PAGE = (ROOT / "docs" / "adding-a-race.md").read_text()
FILES = dict(re.findall(r"^`([\w/.]+)`\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
PARTS = ("stress", "dags", "fixes", "dashboards", "METRICS.md", "FINDINGS.md", "requirements")
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project to which the page's files were added, with what is derived written."""
    copy = tmp_path_factory.mktemp("project")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, copy / part)
    for name, text in FILES.items():
        assert not (copy / name).exists()
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(text)
    python(copy, "-m", "stress.races.derived")
    return copy


def python(project: Path, *arguments: str, **variables: str) -> str:
    """What an interpreter prints that imports the copy."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{project}:{project / 'fixes'}",
        "PYTHONWARNINGS": "ignore",
        **variables,
    }
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_files_of_the_race_s_own_name_only() -> None:
    assert len(FILES) == 8
    assert all("toy" in Path(name).parts or name == "dags/toy.py" for name in FILES)


def test_it_is_listed(project: Path) -> None:
    (toy,) = [
        race for race in json.loads(python(project, "-m", "stress", "list", "races", "--json")) if race["race"] == "toy"
    ]
    assert (toy["scenario"], toy["metric"], toy["fixes"]) == ("toy", "airflow_stress_toys_total", ["toy_fix"])
    assert "toy_fix" in python(project, "-m", "stress", "list", "fixes")


def test_a_run_can_be_asked_for_it(project: Path) -> None:
    code = (
        "from stress import plan; plan.machine_faults = lambda port: []; "
        "made = plan.check(plan.Options(scenarios=('toy',))); "
        "print(made.races, made.dags, made.load.users, 'toy_fix' in made.arms[1].fixes)"
    )
    assert python(project, "-c", code).strip() == "('toy',) ('toy',) ['ToyUser'] True"


def test_its_users_are_in_the_load(project: Path, tmp_path: Path) -> None:
    code = "from stress import locustfile; print('ToyUser' in vars(locustfile))"
    assert python(project, "-c", code, AIRFLOW_STRESS_SHARED=str(tmp_path)).strip() == "True"


def test_its_counter_is_there_from_the_start(project: Path) -> None:
    code = (
        "from prometheus_client import CollectorRegistry, generate_latest; from stress.metrics import RunMetrics; "
        "from stress.races.registry import CAUSES; registry = CollectorRegistry(); "
        "registry.register(RunMetrics(['stock'], {'toy': 'toy'}, CAUSES, [], {})); "
        "print(generate_latest(registry).decode())"
    )
    series = 'airflow_stress_toys_total{arm="stock",cause="nothing",scenario="toy"} 0.0'
    assert series in python(project, "-c", code).splitlines()


def test_its_rules_are_recorded_and_valid(project: Path) -> None:
    rules = project / "dashboards" / "prometheus" / "rules"
    assert (
        "(airflow_stress_toys_total)\n        labels:\n          race: toy\n" in (rules / "recording.yml").read_text()
    )
    promtool = shutil.which("promtool")
    if promtool is not None:
        subprocess.run([promtool, "check", "rules", *rules.glob("*.yml")], check=True, timeout=TIMEOUT_S)


def test_the_tables_have_its_row(project: Path) -> None:
    assert (
        "| `airflow_stress_toys_total` | arm, scenario, cause | nothing happened |"
        in (project / "METRICS.md").read_text()
    )
    assert "[toy](stress/races/toy/README.md)" in (project / "FINDINGS.md").read_text()


def test_a_report_says_what_it_is(project: Path) -> None:
    code = "from stress.races.registry import RACES, unit_of; print(RACES['toy'].summary, unit_of('toy'))"
    assert python(project, "-c", code).strip() == "Nothing happens. task instances"


def test_its_checker_checks_a_block(project: Path) -> None:
    code = (
        "from stress.checkers.view import BlockView; from stress.races.registry import check; "
        "print(check('toy', BlockView(0, 'stock', ())).blind)"
    )
    assert "database never saw its source" in python(project, "-c", code)
