"""Scenarios name things that live elsewhere: users of the load, DAGs, observers. All of them are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from clusters import PaperCluster

from stress import layout
from stress.block import cluster_settings, observers_of
from stress.checkers import CAUSES
from stress.load.settings import LoadSettings
from stress.plan import Options, check
from stress.scenarios import SCENARIOS
from stress.scenarios.base import Scenario

ALL = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that a run could start on, and a working directory without runs."""
    monkeypatch.setattr("stress.plan.machine_faults", lambda _port: [])
    monkeypatch.chdir(tmp_path)


def users() -> dict[str, ast.ClassDef]:
    """The concrete user classes of the Locust file, which is not imported: Locust would patch the sockets."""
    tree = ast.parse(layout.LOCUSTFILE.read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return {name: node for name, node in classes.items() if list(tasks(node))}


def tasks(user: ast.ClassDef) -> Iterator[str]:
    for node in user.body:
        if isinstance(node, ast.FunctionDef) and any("task" in ast.unparse(mark) for mark in node.decorator_list):
            yield node.name


def dag_ids() -> set[str]:
    """The ids that the DAG files give, an f-string's number filled in."""
    found: set[str] = set()
    for path in layout.DAGS.glob("*.py"):
        for literal in re.findall(r"\bDAG\(\s*(f?\"[^\"]+\")", path.read_text()):
            name = literal.removeprefix("f").strip('"')
            found |= {name.replace("{number}", str(number)) for number in range(4)}
    return found


@ALL
def test_the_users_of_a_scenario_are_in_the_locust_file(scenario: Scenario) -> None:
    assert set(scenario.users) <= users().keys()


def test_every_user_takes_part_in_a_scenario() -> None:
    assert {user for scenario in SCENARIOS.values() for user in scenario.users} == set(users())


def test_every_user_can_be_left_out() -> None:
    source = layout.LOCUSTFILE.read_text()
    taking_part = re.search(r"def _take_part.*?for user in \(([^)]*)\)", source, re.DOTALL)
    assert taking_part is not None
    assert {name.strip() for name in taking_part[1].split(",")} - {""} == set(users())


@ALL
def test_the_dags_of_a_scenario_are_in_the_dags_folder(scenario: Scenario) -> None:
    assert set(scenario.dags) <= dag_ids()


@ALL
def test_a_scenario_is_named_after_its_file(scenario: Scenario) -> None:
    assert (layout.ROOT / "stress" / "scenarios" / f"{scenario.name}.py").is_file()


@ALL
def test_the_races_of_a_scenario_have_checkers(scenario: Scenario) -> None:
    assert set(scenario.races) <= CAUSES.keys()


def test_no_race_is_of_two_scenarios() -> None:
    races = [race for scenario in SCENARIOS.values() for race in scenario.races]
    assert len(set(races)) == len(races)


@ALL
def test_a_scenario_that_runs_alone_has_the_observers_that_it_names(scenario: Scenario, tmp_path: Path) -> None:
    plan = check(Options(scenarios=(scenario.name,)))
    observers, _ = observers_of(PaperCluster(tmp_path / "cluster"), plan)
    assert set(scenario.observers) <= {observer.name for observer in observers}


def test_without_observers_nothing_looks_before_the_end(tmp_path: Path) -> None:
    observers, _ = observers_of(PaperCluster(tmp_path / "cluster"), check(Options(observers=False)))
    assert [observer.name for observer in observers] == ["database"]
    assert list(observers[0].poll()) == []


def test_real_workers_leave_no_answers_to_observe(tmp_path: Path) -> None:
    observers, _ = observers_of(PaperCluster(tmp_path / "cluster"), check(Options(workers="real")))
    assert "execution_api" not in {observer.name for observer in observers}


@pytest.mark.parametrize(
    ("workers", "executor"), [("hollow", "airflow_stress_hollow.HollowExecutor"), ("real", "LocalExecutor")]
)
def test_the_workers_decide_the_executor(workers: str, executor: str) -> None:
    assert cluster_settings(check(Options(workers=workers))).executor == executor


def test_the_hollow_executor_is_where_it_is_mounted_from() -> None:
    module, _, name = layout.HOLLOW_EXECUTOR.partition(".")
    tree = ast.parse((layout.HOLLOW / f"{module}.py").read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


@ALL
def test_a_scenario_s_config_reaches_the_cluster(scenario: Scenario) -> None:
    settings = cluster_settings(check(Options(scenarios=(scenario.name,))))
    assert scenario.config.items() <= settings.config.items()


@pytest.mark.parametrize("directory", ["dags", "fixes", "stress/load/mounted"])
def test_what_runs_inside_airflow_imports_nothing_of_the_harness(directory: str) -> None:
    imported: set[str] = set()
    for path in (layout.ROOT / directory).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    assert "stress" not in imported


def test_load_settings_come_back_from_the_file_that_locust_reads() -> None:
    settings = LoadSettings(users=["UiReader"], seconds=12.5)
    assert msgspec.json.decode(msgspec.json.encode(settings), type=LoadSettings) == settings


def test_load_settings_with_an_unknown_type_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"seconds": "long"}', type=LoadSettings)
