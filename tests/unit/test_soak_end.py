"""How a soak ends: its exit code, page and JUnit file, what is kept, and that the containers are removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stress import manifest
from stress.history import History
from stress.results import RunState
from tests.unit.soaks import Machine, blocks, ended, leave_running


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_run_that_passes_is_green(machine: Machine) -> None:
    ended(machine.run, blocks())
    soak = machine.soak("passes")
    assert (soak.code, soak.bad, soak.is_removed) == (0, [], True)
    assert soak.headline.startswith("# Pass: ")
    assert [case.get("name") for case in soak.junit.iter("testcase")] == ["deadlock", "harm", "soak"]
    assert soak.junit.get("tests") == "3"
    assert soak.page == soak.summary


def test_what_is_run_is_what_was_asked_for(machine: Machine) -> None:
    ended(machine.run, blocks())
    soak = machine.soak("passes", "--duration", "90s", "--seed", "12", "--airflow", "3.3.2", "--out", str(machine.out))
    up = next(call for call in soak.calls if " up " in call)
    assert up.endswith("up --build --exit-code-from stress stress prometheus")
    assert "Reproduce with: `python3 -m stress.soak --duration 90s --seed 12 --airflow 3.3.2`" in soak.summary


def test_everything_is_kept(machine: Machine) -> None:
    ended(machine.run, blocks())
    soak = machine.soak("passes")
    kept = {path.name for path in (soak.out / "runs" / "20270115-080000-abcdef").iterdir()}
    assert kept >= {"history.jsonl", "manifest.json", "results.json", "report.html", "junit.xml", "summary.md"}
    assert "scheduler-1" in (soak.out / "containers.log").read_text()
    assert json.loads((soak.out / "containers.json").read_text())
    assert "2.26.1" in (soak.out / "engine.txt").read_text()
    assert "stock against fixed" in (soak.out / "compose.log").read_text()


def test_a_race_that_remains_is_a_failure_of_its_own(machine: Machine) -> None:
    ended(machine.run, blocks(incidents_fixed=10))
    soak = machine.soak("fails")
    assert (soak.code, len(soak.bad), soak.is_removed) == (1, 1, True)
    assert soak.headline.startswith("# Fail: ")
    assert "| deadlock | remains |" in soak.summary


def test_a_killed_harness_is_judged_from_its_history_and_never_green(machine: Machine) -> None:
    leave_running(machine)
    soak = machine.soak("killed")
    assert (soak.code, soak.is_removed) == (3, True)
    assert soak.headline == "# Failed: the harness died with exit code 137 (killed)"
    assert "## Unknown: " in soak.summary
    assert "| deadlock |" in soak.page
    assert any("the harness died" in message for message in soak.bad)
    [directory] = (path for path in (soak.out / "runs").iterdir())
    assert manifest.load(directory).state == "interrupted"
    assert (directory / "report.html").exists()


def test_a_history_that_can_not_be_judged_is_a_failure(machine: Machine) -> None:
    leave_running(machine)
    soak = machine.soak("unreadable")
    assert (soak.code, soak.is_removed) == (3, True)
    assert "out of memory" in soak.headline
    assert "no space left on device" in soak.page
    assert any("could not be judged" in message for message in soak.bad)


def test_compose_that_fails_at_once_is_not_a_race_that_remains(machine: Machine) -> None:
    soak = machine.soak("no cluster")
    assert (soak.code, soak.is_removed) == (3, True)
    assert soak.headline == "# Failed: the harness never started: docker compose ended with exit code 1"
    assert "dependency failed to start: container migrate exited (1)" in soak.page
    assert len(soak.bad) == 1


def test_a_harness_that_ends_well_without_a_run_is_not_green(machine: Machine) -> None:
    soak = machine.soak("silent")
    assert (soak.code, soak.is_removed) == (3, True)
    assert soak.headline == "# Failed: no run was recorded"
    assert soak.bad


def test_the_exit_code_of_a_harness_that_refuses_is_kept(machine: Machine) -> None:
    soak = machine.soak("refused")
    assert (soak.code, bool(soak.bad), soak.is_removed) == (64, True, True)


@pytest.mark.parametrize(
    ("history", "state"),
    [
        pytest.param(blocks(incidents_stock=0), RunState.DONE, id="the control showed nothing"),
        pytest.param(blocks(incidents_fixed=10), RunState.DONE, id="a race remains"),
        pytest.param(blocks(), RunState.INTERRUPTED, id="it was interrupted"),
    ],
)
def test_an_exit_code_that_the_reports_contradict_is_not_green(
    machine: Machine, history: History, state: RunState
) -> None:
    ended(machine.run, history, state)
    soak = machine.soak("forged")
    assert (soak.code, soak.is_removed) == (3, True)
    assert "# Failed: the run ended with exit code 0, but" in soak.headline
    assert soak.bad


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("harm", [{"measure": "throughput", "verdict": "worse"}], "but throughput is worse under test"),
        ("errors", ["no space left"], "but it reports an error: no space left"),
    ],
)
def test_harm_and_errors_beside_exit_code_0_are_not_green(
    machine: Machine, key: str, value: object, message: str
) -> None:
    results = ended(machine.run, blocks()) / "results.json"
    results.write_text(json.dumps({**json.loads(results.read_text()), key: value}))
    soak = machine.soak("forged")
    assert (soak.code, soak.headline) == (3, f"# Failed: the run ended with exit code 0, {message}")
    assert soak.bad


def test_containers_that_remain_are_a_failure(machine: Machine) -> None:
    ended(machine.run, blocks())
    (machine.fake / "asked").touch()
    soak = machine.soak("stuck")
    assert soak.code != 0
    assert "the containers could not be removed: volume in use" in soak.page
    assert soak.bad
