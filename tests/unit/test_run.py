"""A run from its plan to its exit code, on a runtime that starts nothing: how it ends when it can't begin or go on."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from stress import history, manifest, run
from stress.arms.spec import Arm
from stress.cluster.base import Progress
from stress.cluster.errors import ClusterError
from stress.history import HistoryBroken, Journal
from stress.plan import Options, Plan, check
from stress.screen import PlainScreen


class PaperRuntime:
    """A runtime whose preparation does what a test wants."""

    closed: ClassVar[int] = 0
    preparation: ClassVar[Callable[[], None]]

    def __init__(self, run_id: str, **_: object) -> None:
        self.run_id = run_id

    def prepare(self, arms: Sequence[Arm], progress: Progress) -> None:
        progress(f"preparing {len(arms)} arms")
        type(self).preparation()

    def close(self) -> None:
        type(self).closed += 1


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Plan:
    """A plan, on a runtime that starts nothing and a port that is not opened."""
    monkeypatch.setattr("stress.plan.machine_faults", lambda _port: [])
    monkeypatch.setattr(run, "LocalRuntime", PaperRuntime)
    monkeypatch.setattr(PaperRuntime, "closed", 0)
    monkeypatch.setattr(run._Server, "__enter__", lambda _: None)
    monkeypatch.setattr(run._Server, "__exit__", lambda *_: None)
    return check(Options(seed="7", out=str(tmp_path / "run")))


def execute(plan: Plan, preparation: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(PaperRuntime, "preparation", preparation, raising=False)
    return run.Run(plan, ["run"], PlainScreen()).execute()


def fails() -> None:
    raise ClusterError("PostgreSQL did not start: no room")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_any_evidence_is_the_shell_s_exit_code(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    assert execute(plan, lambda: signal.raise_signal(number), monkeypatch) == code
    assert manifest.load(plan.directory).state == "interrupted"


def test_an_interrupted_run_has_its_reports(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(plan, lambda: signal.raise_signal(signal.SIGINT), monkeypatch)
    results = json.loads((plan.directory / "results.json").read_text())
    assert (results["state"], results["verdict"]) == ("interrupted", "unknown")
    written = {path.name for path in plan.directory.iterdir()}
    assert written >= {"manifest.json", "history.jsonl", "report.html", "junit.xml", "summary.md", "metrics.prom"}


def test_a_failure_of_the_cluster_is_exit_code_3_and_says_why(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(plan, fails, monkeypatch) == 3
    kept = manifest.load(plan.directory)
    assert (kept.state, kept.error) == ("failed", "PostgreSQL did not start: no room")
    assert "stress: PostgreSQL did not start: no room" in capsys.readouterr().err


def breaks() -> None:
    raise ZeroDivisionError("a defect")


def test_a_defect_of_the_harness_is_exit_code_3_and_keeps_its_traceback(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(plan, breaks, monkeypatch) == 3
    assert "ZeroDivisionError: a defect (a defect of stress" in capsys.readouterr().err
    assert "in breaks" in (plan.directory / "harness.log").read_text()


@pytest.mark.parametrize("preparation", [fails, breaks, lambda: signal.raise_signal(signal.SIGINT)])
def test_what_was_started_is_ended_however_the_run_ends(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, preparation: Callable[[], None]
) -> None:
    execute(plan, preparation, monkeypatch)
    assert PaperRuntime.closed == 1


def test_the_history_begins_with_the_plan(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(plan, fails, monkeypatch)
    begun = history.read(plan.directory / "history.jsonl")
    assert [type(entry.event).__name__ for entry in begun.entries] == ["RunPlanned", "ArmPlanned", "ArmPlanned"]


def test_a_disk_without_room_for_the_plan_is_exit_code_3_and_says_so(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise HistoryBroken("cannot write the history: no room")

    monkeypatch.setattr(Journal, "append", full)
    assert execute(plan, fails, monkeypatch) == 3
    assert "stress: cannot write the history: no room" in capsys.readouterr().err


def test_a_directory_that_can_t_be_made_is_exit_code_3(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan.directory.touch()
    assert execute(plan, fails, monkeypatch) == 3
    assert "can't be written to" in capsys.readouterr().err


def test_the_manifest_has_the_command_that_runs_it_again(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(plan, fails, monkeypatch)
    assert manifest.load(plan.directory).command == manifest.command_line(["run"], plan)


def test_a_port_of_the_metrics_that_can_t_be_opened_is_the_machine_s_fault(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(_: object) -> None:
        raise ClusterError("the metrics' port 9108 can't be opened")

    monkeypatch.setattr(run._Server, "__enter__", taken)
    assert execute(plan, fails, monkeypatch) == 3


@pytest.mark.parametrize(
    ("parent", "run_ids", "linked"),
    [
        ("runs", ("first", "second"), True),
        ("elsewhere", ("first", "second"), False),
        ("runs", ("another", "another"), False),
    ],
)
def test_a_run_without_a_directory_of_its_own_is_the_latest(
    tmp_path: Path, parent: str, run_ids: tuple[str, str], linked: bool
) -> None:
    for name, run_id in zip(("first", "second"), run_ids, strict=True):
        (tmp_path / parent / name).mkdir(parents=True)
        run._link_latest(tmp_path / parent / name, run_id)
    latest = tmp_path / parent / "latest"
    assert latest.is_symlink() is linked
    assert not linked or latest.resolve().name == "second"
