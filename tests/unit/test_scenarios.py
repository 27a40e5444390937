"""Scenarios name things that live elsewhere: users of the load, DAGs, observers. All of them are there."""

from __future__ import annotations

import ast
import itertools
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from stress import layout
from stress.history import Journal, Recorder
from stress.load.settings import LoadSettings
from stress.observers.aftermath import ENDLESS_DAGS
from stress.observers.panel import NAMES, Panel
from stress.plan import Options, Plan, check
from stress.races.registry import DAG_FILES, RACES, SCENARIOS, races_of
from stress.races.scenario import Scenario
from stress.run.parts import observers_of
from stress.run.settings import cluster_settings
from tests.unit.clusters import PaperCluster

pytestmark = pytest.mark.usefixtures("fit_machine")

ALL = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A working directory without runs."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the user classes, asked of a process of their own: Locust patches the sockets of its process."""
    return set(load_file(tmp_path_factory.mktemp("shared")).stdout.split())


def load_file(shared: Path, *taking_part: str) -> subprocess.CompletedProcess[str]:
    """Import the Locust file with these users planned (none: no plan), and print the users that Locust would run."""
    environment = {**os.environ, "PYTHONPATH": str(layout.ROOT), "AIRFLOW_STRESS_SHARED": str(shared)}
    if taking_part:
        plan = shared / "load.json"
        plan.write_bytes(msgspec.json.encode(LoadSettings(users=list(taking_part))))
        environment["AIRFLOW_STRESS_LOAD"] = str(plan)
    code = (
        "from locust.util.load_locustfile import load_locustfile\n"
        f"print(*load_locustfile({str(layout.LOCUSTFILE)!r})[0])"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def dag_ids() -> set[str]:
    """The ids that the DAG files give, an f-string's numbers filled in."""
    found: set[str] = set()
    for path in layout.DAGS.glob("*.py"):
        for literal in re.findall(r"\bDAG\(\s*(f?\"[^\"]+\")", path.read_text()):
            parts = re.split(r"\{\w+\}", literal.removeprefix("f").strip('"'))
            numbers = itertools.product("0123", repeat=len(parts) - 1)
            found |= {"".join(map("".join, zip(parts, (*chosen, ""), strict=True))) for chosen in numbers}
    return found


@ALL
def test_the_users_of_a_scenario_are_in_the_locust_file(scenario: Scenario, users: set[str]) -> None:
    assert set(scenario.users) <= users


def test_every_user_takes_part_in_a_scenario(users: set[str]) -> None:
    assert {user for scenario in SCENARIOS.values() for user in scenario.users} == users


def test_users_that_are_not_planned_are_left_out(tmp_path: Path) -> None:
    assert load_file(tmp_path, "UiReader", "Clearer").stdout.split() == ["UiReader", "Clearer"]


def test_a_planned_user_that_is_not_there_ends_the_load(tmp_path: Path) -> None:
    done = load_file(tmp_path, "UiReader", "Ghost")
    assert done.returncode == 1
    assert "the plan asks for unknown users of the load: Ghost" in done.stderr


@ALL
def test_the_dags_of_a_scenario_are_in_the_dags_folder(scenario: Scenario) -> None:
    assert set(scenario.dags) <= dag_ids()


@ALL
def test_a_scenario_that_runs_alone_has_the_observers_that_it_names(scenario: Scenario, tmp_path: Path) -> None:
    plan = check(Options(scenarios=(scenario.name,)))
    assert set(scenario.observers) <= set(panel(plan, tmp_path).names)


def panel(plan: Plan, directory: Path) -> Panel:
    """The observers that a plan's blocks have."""
    journal = Journal(directory / "history.jsonl")
    try:
        return observers_of(plan, PaperCluster(directory / "cluster"), Recorder(journal, 0))
    finally:
        journal.close()


def test_without_observers_nothing_looks_before_the_end(tmp_path: Path) -> None:
    assert panel(check(Options(observers=False)), tmp_path).names == ("database",)


def test_real_workers_leave_no_records_to_observe(tmp_path: Path) -> None:
    left_out = set(NAMES) - set(panel(check(Options(workers="real")), tmp_path).names)
    assert left_out == {"execution_api", "scheduler_loops"}


@pytest.mark.parametrize(
    ("workers", "executor"), [("hollow", "airflow_stress_hollow.HollowExecutor"), ("real", "LocalExecutor")]
)
def test_the_workers_decide_the_executor(workers: str, executor: str) -> None:
    assert cluster_settings(check(Options(workers=workers))).executor == executor


def test_the_hollow_executor_is_where_it_is_mounted_from() -> None:
    module, _, name = layout.HOLLOW_EXECUTOR.partition(".")
    tree = ast.parse((layout.MOUNTED / f"{module}.py").read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


@ALL
def test_a_scenario_s_config_reaches_the_cluster(scenario: Scenario) -> None:
    settings = cluster_settings(check(Options(scenarios=(scenario.name,))))
    assert scenario.config.items() <= settings.config.items()


@pytest.mark.parametrize("directory", ["dags", "fixes", "stress/mounted"])
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


# -- races that need faults ------------------------------------------------------------------------------------------


def test_without_faults_no_race_of_theirs_is_asked_for() -> None:
    assert check(Options()).races == ("deadlock", "duplicate_callback", "out_of_order_frame")


def test_with_faults_their_races_come_last() -> None:
    assert check(Options(faults="kill")).races == (
        *("deadlock", "duplicate_callback", "out_of_order_frame"),
        *("stuck_task", "lost_callback"),
    )


@pytest.mark.parametrize(
    ("scenario", "races"),
    [
        ("deadline_miss", ("duplicate_callback", "lost_callback")),
        ("version_churn", ("deadlock", "stuck_task")),
        ("trigger_cancel", ("out_of_order_frame",)),
    ],
)
def test_a_race_of_faults_is_asked_for_with_its_scenario(scenario: str, races: tuple[str, ...]) -> None:
    assert check(Options(scenarios=(scenario,), faults="kill")).races == races


def test_races_of_a_plan_keep_the_order_of_the_registry_with_those_that_need_faults_last() -> None:
    asked = races_of(list(SCENARIOS.values()), faults=True)
    provoked = [race for race in RACES.values() if race.scenario is not None]
    assert asked == tuple(race.name for race in sorted(provoked, key=lambda race: race.needs_faults))


def test_the_last_looks_come_in_the_order_in_which_they_may_be_compared(tmp_path: Path) -> None:
    # Answers to workers, what is stored, receipts of callbacks, and then every change up to here: see `panel.KINDS`.
    plan = check(Options(faults="kill", out=str(tmp_path / "run")))
    assert panel(plan, tmp_path).names[-4:] == ("execution_api", "database", "receipts", "change_feed")


@pytest.mark.parametrize("faults", ["kill", None])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_block_has_every_observer(faults: str | None, scenario: str, tmp_path: Path) -> None:
    plan = check(Options(faults=faults, scenarios=(scenario,), out=str(tmp_path / "run")))
    assert panel(plan, tmp_path).names == NAMES


def test_dags_that_never_end_are_those_of_the_scenarios() -> None:
    assert set(ENDLESS_DAGS) == {dag for scenario in SCENARIOS.values() for dag in scenario.endless_dags}


@ALL
def test_the_endless_dags_of_a_scenario_are_among_its_dags(scenario: Scenario) -> None:
    assert set(scenario.endless_dags) <= set(scenario.dags)


def test_the_findings_state_the_present_load() -> None:
    load = LoadSettings()
    deadlines = (
        load.deadline_batches * load.deadline_batch_runs * number_in("duplicate_callback.py", r"^ALERTS = (\d+)$")
    )
    triggers = number_in("out_of_order_frame.py", r'DAG\(\s*"bigquery_endless"[\s\S]*range\((\d+)\)')
    bursts = {1: "one burst"}[load.cancel_bursts]
    text = re.sub(r"\s+", " ", (layout.ROOT / "FINDINGS.md").read_text())
    assert (
        f"A block has {load.seconds:g} s of load: {deadlines} deadlines that pass together, "
        f"and {bursts} that ends {load.cancel_runs} runs of {triggers} triggers each"
    ) in text


@pytest.mark.parametrize("race", [race.name for race in RACES.values() if race.name in DAG_FILES])
def test_the_load_and_the_dags_of_a_race_have_the_same_moments(race: str) -> None:
    in_scenario = (layout.ROOT / "stress" / "races" / race / "scenario.py").read_text()
    moments = re.compile(r"^(\w+_S) = (.+)$", re.MULTILINE)
    assert set(moments.findall(in_scenario)) <= set(moments.findall((layout.DAGS / f"{race}.py").read_text()))


@ALL
def test_the_dag_files_of_a_scenario_are_there_and_only_scenarios_on_request_have_some(scenario: Scenario) -> None:
    assert all((layout.DAGS / f"{name}.py").is_file() for name in scenario.dag_files)
    assert scenario.on_request or not scenario.dag_files


def number_in(dag_file: str, pattern: str) -> int:
    """A number that a DAG file holds."""
    found = re.search(pattern, (layout.DAGS / dag_file).read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


class FakeApiServer(BaseHTTPRequestHandler):
    """Answers anything; the first `slow` requests after 1.2 s."""

    slow: ClassVar[int] = 3
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if len(self.asked) <= self.slow:
            time.sleep(1.2)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


def test_the_load_waits_until_no_process_of_the_api_server_is_slow(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeApiServer)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    plan = tmp_path / "load.json"
    plan.write_bytes(msgspec.json.encode(LoadSettings(api_workers=2)))
    environment = {**os.environ, "PYTHONPATH": str(layout.ROOT), "AIRFLOW_STRESS_SHARED": str(tmp_path)}
    environment |= {"AIRFLOW_STRESS_LOAD": str(plan), "NO_PROXY": "127.0.0.1"}
    code = f"from stress.load import users; users._warm_up('http://127.0.0.1:{server.server_address[1]}')"
    try:
        command = [sys.executable, "-W", "ignore", "-c", code]
        subprocess.run(command, env=environment, timeout=60, check=True)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    # The first round had slow answers, so that there was another; on a busy machine there may be more.
    assert len(FakeApiServer.asked) >= 32
    assert set(FakeApiServer.asked) == {"/auth/token", "/execution/health"}
