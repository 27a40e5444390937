"""Forked components against started ones, with the real parent of each release: what must not be shared is not."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stress import layout
from stress.arms.environments import AirflowEnvironment, environment_for
from stress.arms.releases import check
from stress.cluster.base import ClusterSecrets
from stress.cluster.errors import ClusterError, ComponentFailed
from stress.cluster.local.environment import base_environment
from stress.cluster.local.preload import VARYING, Parent, Parents, place_of
from stress.cluster.supervision import procfs
from stress.cluster.supervision.guard import RunGuard
from stress.cluster.supervision.processes import Command, Process, kill_trees

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
        "PYTHONPATH": os.pathsep.join(map(str, (layout.FIXES, PROBE, layout.MOUNTED))),
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
def home(environment: AirflowEnvironment, guard: RunGuard) -> Path:
    """The release's directory of the components."""
    home = guard.directory / f"home-{environment.release}"
    home.mkdir()
    return home


@pytest.fixture(scope="module")
def parents(environment: AirflowEnvironment, home: Path, guard: RunGuard) -> Iterator[tuple[Parent, Parent]]:
    """The two parents of an arm, the api-server's first."""
    both = Parents(guard.directory / f"parents-{environment.release}", guard.label)
    first, second = (both.parent(environment, variables(environment, home, ""), place) for place in (0, 1))
    yield first, second
    both.close()


@pytest.fixture(scope="module")
def parent(parents: tuple[Parent, Parent]) -> Parent:
    """The parent of the api-server and the first of each kind."""
    return parents[0]


@pytest.fixture
def fork(parent: Parent, environment: AirflowEnvironment, home: Path, tmp_path: Path) -> Iterator[Start]:
    """Forks a component from the parent; ends it after the test."""
    forked: list[Process] = []

    def fork(component: str, *arguments: str, **more: str) -> Process:
        own = variables(environment, home, component, **more)
        command = Command(component, (str(environment.airflow), *arguments), own, tmp_path / f"{component}.log")
        forked.append(parent.fork(command))
        return forked[-1]

    yield fork
    kill_trees(forked)


@dataclass(frozen=True)
class Child:
    """A component that the probe has examined, and what it said."""

    process: Process
    facts: dict[str, object]


@pytest.fixture(scope="module")
def children(
    parents: tuple[Parent, Parent],
    environment: AirflowEnvironment,
    home: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Child, Child, Child]]:
    """Two peers of one parent, and one of the other parent. The probe reads all of Python's objects, which takes
    seconds of CPU: all tests that only look at what it said look at the same three."""
    logs = tmp_path_factory.mktemp("children")
    seats = (("scheduler-1", parents[0]), ("scheduler-2", parents[0]), ("triggerer-2", parents[1]))
    forked = []
    for component, parent in seats:
        command = Command(
            component,
            (str(environment.airflow), "probe"),
            variables(environment, home, component),
            logs / f"{component}.log",
        )
        forked.append(parent.fork(command))
    try:
        first, second, other = (Child(process, facts(process)) for process in forked)
        yield first, second, other
    finally:
        kill_trees(forked)


def facts(process: Process) -> dict[str, object]:
    """What the probe in a component has said."""
    assert process.wait(180) == 0, process.log_tail(30)  # it is the parent's first child, which imports Airflow
    lines = process.command.log_file.read_text().splitlines()
    return dict(json.loads(next(line for line in reversed(lines) if line.startswith("{"))))


def test_a_child_has_everything_of_its_own(children: tuple[Child, Child, Child], parent: Parent) -> None:
    (first, ours), (second, theirs) = ((child.process, child.facts) for child in children[:2])
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


def test_random_values_differ_between_children(children: tuple[Child, Child, Child]) -> None:
    ours, theirs = (child.facts["random"] for child in children[:2])
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    assert set(ours) >= {"random", "uuid1", "uuid4", "secrets", "uuid7"}
    assert [name for name in ours if ours[name] == theirs[name]] == []


def test_nothing_keeps_what_only_the_parent_was_told(children: tuple[Child, Child, Child]) -> None:
    for child in children:
        stale = child.facts["stale"]
        assert isinstance(stale, list)
        assert not stale, "\n".join(stale)


def test_the_probe_finds_a_value_that_is_left(fork: Start) -> None:
    assert facts(fork("scheduler-1", "probe", "leave"))["stale"] != []


def test_each_child_reports_the_fixes_as_its_own(children: tuple[Child, Child, Child]) -> None:
    for child in children:
        process, name = child.process, str(child.facts["component"])
        directory = Path(process.command.environment["AIRFLOW_STRESS_FIX_REPORT_DIR"])
        reports = [json.loads(line) for line in (directory / f"{name}-{process.pid}.jsonl").read_text().splitlines()]
        assert {report["status"] for report in reports} <= {"armed", "loaded", "not_needed"}
        assert {report["pid"] for report in reports} == {process.pid}
        assert {report["component"] for report in reports} == {name}
        assert any(report["status"] == "loaded" for report in reports)


def test_string_hashes_differ_between_the_parents_of_an_arm(children: tuple[Child, Child, Child]) -> None:
    first, second, other = (child.facts["hash"] for child in children)
    assert first == second, "a parent's children share its seed: the test could not fail otherwise"
    assert first != other


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


def test_a_parent_that_dies_is_told(
    environment: AirflowEnvironment, home: Path, guard: RunGuard, tmp_path: Path
) -> None:
    parents = Parents(tmp_path / "parents", guard.label)
    try:
        parent = parents.parent(environment, variables(environment, home, ""), 1)
        parent.process.send_signal(signal.SIGKILL)
        parent.process.wait(10)
        with pytest.raises(ComponentFailed, match=r"ended in the middle of a block .exit code -9.*--cold-start"):
            parents.check()
    finally:
        parents.close()


def test_the_parent_s_own_program_has_the_same_exceptions() -> None:
    sys.path.insert(0, str(layout.MOUNTED))
    try:
        mounted = importlib.import_module("airflow_stress_preload")
    finally:
        sys.path.remove(str(layout.MOUNTED))
    assert mounted.VARYING == VARYING


def test_peers_come_from_different_parents() -> None:
    assert place_of("scheduler-1") != place_of("scheduler-2")
    assert place_of("triggerer-1") != place_of("triggerer-2")
    assert place_of("api-server") == 0
