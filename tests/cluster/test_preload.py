"""Forked components against started ones, with the real parent of each release: what must not be shared is not."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stress import layout
from stress.arms.environments import AirflowEnvironment, environment_for
from stress.arms.releases import check
from stress.cluster import procfs
from stress.cluster.airflow import MOUNTED
from stress.cluster.base import ClusterSecrets
from stress.cluster.errors import ClusterError, ComponentFailed
from stress.cluster.guard import RunGuard
from stress.cluster.local.cluster import place_of
from stress.cluster.local.environment import base_environment
from stress.cluster.local.preload import VARYING, Parent, Parents
from stress.cluster.processes import Command, Process, kill_trees

PROBE = Path(__file__).with_name("probe")
"""What is imported into Airflow: a component says what it has, instead of running."""

Start = Callable[..., Process]


@pytest.fixture(scope="module", params=["3.1.8", "3.2.1", "3.3.2"])
def environment(request: pytest.FixtureRequest) -> AirflowEnvironment:
    """The environment of a release."""
    return environment_for(check(request.param))


@pytest.fixture(scope="module")
def guard() -> Iterator[RunGuard]:
    """A run."""
    guard = RunGuard()
    yield guard
    guard.close()


def variables(environment: AirflowEnvironment, home: Path, component: str, **more: str) -> dict[str, str]:
    """A component's environment with a probe in Airflow's place."""
    shared = home / "shared"
    return {
        **base_environment(environment, home, SECRETS),
        "PYTHONPATH": os.pathsep.join(map(str, (layout.FIXES, PROBE, MOUNTED))),
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "airflow_stress_component.hostname",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": "airflow_stress_component.ASYNC_CONNECT_ARGS",
        "AIRFLOW_STRESS_COMPONENT": component,
        "AIRFLOW_STRESS_FIXES": "all",
        "AIRFLOW_STRESS_FIX_REPORT_DIR": str(shared / "fixes"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://me:secret@127.0.0.1:2/{component}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://me:secret@127.0.0.1:2/{component}",
        **more,
    }


SECRETS = ClusterSecrets.make()


@pytest.fixture(scope="module")
def parent(environment: AirflowEnvironment, guard: RunGuard) -> Iterator[Parent]:
    """A parent that is ready."""
    home = guard.directory / f"home-{environment.release}"
    home.mkdir()
    parents = Parents(guard.directory / f"parents-{environment.release}", guard.label)
    yield parents.parent(environment, variables(environment, home, ""), 0)
    parents.close()


@pytest.fixture
def fork(parent: Parent, environment: AirflowEnvironment, guard: RunGuard, tmp_path: Path) -> Iterator[Start]:
    """Forks a component from the parent; ends it after the test."""
    forked: list[Process] = []

    def fork(component: str, *arguments: str, **more: str) -> Process:
        own = variables(environment, guard.directory / f"home-{environment.release}", component, **more)
        command = Command(component, (str(environment.airflow), *arguments), own, tmp_path / f"{component}.log")
        forked.append(parent.fork(command))
        return forked[-1]

    yield fork
    kill_trees(forked)


def facts(process: Process) -> dict[str, object]:
    """What the probe in a component has said."""
    assert process.wait(60) == 0, process.log_tail(30)
    lines = process.command.log_file.read_text().splitlines()
    return dict(json.loads(next(line for line in reversed(lines) if line.startswith("{"))))


def test_a_child_has_everything_of_its_own(fork: Start, parent: Parent) -> None:
    first, second = fork("scheduler-1", "probe"), fork("scheduler-2", "probe")
    ours, theirs = facts(first), facts(second)
    assert (ours["component"], theirs["component"]) == ("scheduler-1", "scheduler-2")
    assert (ours["pid"], theirs["pid"]) == (first.pid, second.pid)
    assert (ours["session"], theirs["session"]) == (first.pid, second.pid)
    assert ours["parent"] == parent.process.pid
    assert str(ours["engine"]).endswith("/scheduler-1")
    assert str(ours["async_engine"]).endswith("/scheduler-1")
    assert (ours["host"], ours["asynchronous_name"]) == ("scheduler-1", "scheduler-1")
    assert ours["descriptors"] == [0, 1, 2]
    assert ours["threads"] == 1
    assert ours["arguments"] == ["probe"]


def test_random_values_differ_between_children(fork: Start) -> None:
    ours, theirs = facts(fork("triggerer-1", "probe"))["random"], facts(fork("triggerer-2", "probe"))["random"]
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    assert set(ours) >= {"random", "uuid1", "uuid4", "secrets", "uuid7"}
    assert [name for name in ours if ours[name] == theirs[name]] == []


def test_nothing_keeps_what_only_the_parent_was_told(fork: Start) -> None:
    stale = facts(fork("scheduler-1", "probe"))["stale"]
    assert isinstance(stale, list)
    assert not stale, "\n".join(stale)


def test_the_probe_finds_a_value_that_is_left(fork: Start) -> None:
    assert facts(fork("scheduler-1", "probe", "leave"))["stale"] != []


def test_each_child_reports_the_fixes_as_its_own(fork: Start) -> None:
    process = fork("triggerer-1", "probe")
    facts(process)
    directory = Path(process.command.environment["AIRFLOW_STRESS_FIX_REPORT_DIR"])
    reports = [json.loads(line) for line in (directory / f"triggerer-1-{process.pid}.jsonl").read_text().splitlines()]
    assert {report["status"] for report in reports} <= {"armed", "loaded", "not_needed"}
    assert {report["pid"] for report in reports} == {process.pid}
    assert {report["component"] for report in reports} == {"triggerer-1"}
    assert any(report["status"] == "loaded" for report in reports)


def test_a_child_that_differs_in_anything_else_is_refused(fork: Start) -> None:
    with pytest.raises(ClusterError, match="AIRFLOW__CORE__PARALLELISM"):
        fork("scheduler-1", "probe", AIRFLOW__CORE__PARALLELISM="3")


def test_exit_codes_and_signals_arrive(fork: Start) -> None:
    assert fork("scheduler-1", "exit", "7").wait(60) == 7
    waiting = fork("scheduler-2", "wait")
    waiting.send_signal(signal.SIGKILL)
    assert waiting.wait(10) == -signal.SIGKILL


def test_the_run_s_end_finds_forked_components(fork: Start, guard: RunGuard) -> None:
    waiting = fork("scheduler-1", "wait")
    assert waiting.pid in {info.pid for info in procfs.members(guard.record.mark)}


def test_a_parent_that_dies_is_told(environment: AirflowEnvironment, guard: RunGuard, tmp_path: Path) -> None:
    parents = Parents(tmp_path / "parents", guard.label)
    home = tmp_path / "home"
    home.mkdir()
    try:
        parent = parents.parent(environment, variables(environment, home, ""), 1)
        parent.process.send_signal(signal.SIGKILL)
        parent.process.wait(10)
        with pytest.raises(ComponentFailed, match=r"ended in the middle of a block .exit code -9.*--cold-start"):
            parents.check()
    finally:
        parents.close()


def test_the_parent_s_own_program_has_the_same_exceptions() -> None:
    sys.path.insert(0, str(MOUNTED))
    try:
        mounted = importlib.import_module("airflow_stress_preload")
    finally:
        sys.path.remove(str(MOUNTED))
    assert mounted.VARYING == VARYING


def test_peers_come_from_different_parents() -> None:
    assert place_of("scheduler-1") != place_of("scheduler-2")
    assert place_of("triggerer-1") != place_of("triggerer-2")
    assert place_of("api-server") == 0


def test_string_hashes_differ_between_the_parents_of_an_arm(
    environment: AirflowEnvironment, guard: RunGuard, tmp_path: Path
) -> None:
    parents = Parents(tmp_path / "parents", guard.label)
    home = tmp_path / "home"
    home.mkdir()
    own = variables(environment, home, "scheduler-1")
    hashes = []
    try:
        for place in (0, 1):
            command = Command("scheduler-1", ("airflow", "probe"), own, tmp_path / f"{place}.log")
            hashes.append(facts(parents.parent(environment, own, place).fork(command))["hash"])
    finally:
        parents.close()
    assert hashes[0] != hashes[1]
