"""A run from its plan to its exit code, on a runtime that starts nothing: how it ends when it can't begin or go on."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.registry import Collector

from stress import history, manifest
from stress.cluster.errors import ClusterError
from stress.history import HistoryBroken, Journal
from stress.judge.costs import MEASURES
from stress.observers import panel
from stress.plan import Options, Plan, check
from stress.run.lifecycle import LAST_SCRAPES_TIMEOUT_S, Run
from stress.run.live import metrics_of
from stress.run.manifests import manifest_of
from stress.run.parts import served
from stress.screen import PlainScreen
from tests.unit.fakes import Script, World

pytestmark = pytest.mark.usefixtures("fit_machine")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan of the defaults."""
    return check(Options(seed="7", out=str(tmp_path / "run")))


def execute(plan: Plan, preparation: Callable[[], None]) -> int:
    return Run(plan, ["run"], PlainScreen(), world_of(plan, preparation).parts()).execute()


def world_of(plan: Plan, preparation: Callable[[], None]) -> World:
    """A world whose runtime's preparation does what a test wants."""
    return World(plan, Script(on_prepare=preparation), plan.directory.parent)


def fails() -> None:
    raise ClusterError("PostgreSQL did not start: no room")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_any_evidence_is_the_shell_s_exit_code(plan: Plan, number: signal.Signals, code: int) -> None:
    assert execute(plan, lambda: signal.raise_signal(number)) == code
    assert manifest.load(plan.directory).state == "interrupted"


def test_an_interrupted_run_has_its_reports(plan: Plan) -> None:
    execute(plan, lambda: signal.raise_signal(signal.SIGINT))
    results = json.loads((plan.directory / "results.json").read_text())
    assert (results["state"], results["verdict"]) == ("interrupted", "unknown")
    written = {path.name for path in plan.directory.iterdir()}
    assert written >= {"manifest.json", "history.jsonl", "report.html", "junit.xml", "summary.md", "metrics.prom"}


def test_a_failure_of_the_cluster_is_exit_code_3_and_says_why(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(plan, fails) == 3
    kept = manifest.load(plan.directory)
    assert (kept.state, kept.error) == ("failed", "PostgreSQL did not start: no room")
    assert "stress: PostgreSQL did not start: no room" in capsys.readouterr().err


def breaks() -> None:
    raise ZeroDivisionError("a defect")


def test_a_defect_of_the_harness_is_exit_code_3_and_keeps_its_traceback(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(plan, breaks) == 3
    assert "ZeroDivisionError: a defect (a defect of stress" in capsys.readouterr().err
    assert "in breaks" in (plan.directory / "harness.log").read_text()


@pytest.mark.parametrize("preparation", [fails, breaks, lambda: signal.raise_signal(signal.SIGINT)])
def test_what_was_started_is_ended_however_the_run_ends(plan: Plan, preparation: Callable[[], None]) -> None:
    world = world_of(plan, preparation)
    Run(plan, ["run"], PlainScreen(), world.parts()).execute()
    assert world.runtime.closed == 1


def test_the_history_begins_with_the_plan(plan: Plan) -> None:
    execute(plan, fails)
    begun = history.read(plan.directory / "history.jsonl")
    assert [type(entry.event).__name__ for entry in begun.entries] == [
        *("RunPlanned", "ArmPlanned", "ArmPlanned"),
        *("RacePlanned" for _ in plan.races),
        *("MeasurePlanned" for _ in MEASURES),
    ]


def test_a_disk_without_room_for_the_plan_is_exit_code_3_and_says_so(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise HistoryBroken("cannot write the history: no room")

    monkeypatch.setattr(Journal, "append", full)
    assert execute(plan, fails) == 3
    assert "stress: cannot write the history: no room" in capsys.readouterr().err


def test_a_directory_that_can_t_be_made_is_exit_code_3(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    plan.directory.touch()
    assert execute(plan, fails) == 3
    assert "can't be written to" in capsys.readouterr().err


def test_the_manifest_has_the_command_that_runs_it_again(plan: Plan) -> None:
    execute(plan, fails)
    assert manifest.load(plan.directory).command == manifest.command_line(["run"], plan)


def test_a_port_of_the_metrics_that_can_t_be_opened_is_the_machine_s_fault(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        plan = dataclasses.replace(plan, metrics_port=taken.getsockname()[1])
        parts = dataclasses.replace(world_of(plan, lambda: None).parts(), serve=served)
        assert Run(plan, ["run"], PlainScreen(), parts).execute() == 3
    assert f"the metrics' port {plan.metrics_port} can't be opened" in capsys.readouterr().err


def test_prometheus_is_given_time_for_two_more_scrapes(plan: Plan) -> None:
    world = world_of(plan, lambda: None)
    run = Run(plan, ["run"], PlainScreen(), dataclasses.replace(world.parts(), serve=scraped_once))
    run.execute()
    assert plan.budget_s < world.clock.now <= plan.budget_s + LAST_SCRAPES_TIMEOUT_S + 1


@contextmanager
def scraped_once(metrics: Collector, _: Plan) -> Iterator[None]:
    """The metrics' port, scraped at the beginning and never again."""
    list(metrics.collect())
    yield


def test_every_observer_has_its_series_from_the_start(plan: Plan) -> None:
    metrics = metrics_of(plan, manifest_of(plan, ["run"]))
    [up] = [family for family in metrics.collect() if family.name == "airflow_stress_observer_up"]
    assert {sample.labels["observer"]: sample.value for sample in up.samples} == dict.fromkeys(panel.NAMES, 0)
    assert "harness_clock" in panel.NAMES


@pytest.mark.parametrize(
    ("parent", "name", "linked"), [("runs", None, True), ("elsewhere", None, False), ("runs", "mine", False)]
)
def test_a_run_without_a_directory_of_its_own_is_the_latest(
    plan: Plan, tmp_path: Path, parent: str, name: str | None, linked: bool
) -> None:
    latest = tmp_path / parent / "latest"
    for run_id in ("first", "second"):
        own = dataclasses.replace(plan, run_id=run_id, directory=latest.parent / (name or run_id))
        execute(own, lambda: signal.raise_signal(signal.SIGINT))
        if name:
            shutil.rmtree(own.directory)
    assert latest.is_symlink() is linked
    assert not linked or latest.resolve().name == "second"
