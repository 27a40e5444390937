"""The manifest: always whole, tells a run that was abandoned from one that goes on, and how to run it again."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from stress import __version__, instrument, manifest
from stress.cli import main
from stress.layout import ROOT
from stress.plan import Options, Plan, check
from stress.results import RunState
from stress.run.lifecycle import Run
from tests.unit.histories import manifest_of

pytestmark = pytest.mark.usefixtures("fit_machine")

GOING_ON = (RunState.STARTING, RunState.RUNNING, RunState.ANALYSING)
OVER = (RunState.DONE, RunState.INTERRUPTED, RunState.FAILED)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    manifest.save(manifest_of(), tmp_path)
    assert manifest.load(tmp_path) == manifest_of()


def test_a_manifest_that_is_written_anew_replaces_the_old_one_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest.save(manifest_of(RunState.STARTING), tmp_path)
    seen: list[str] = []
    real = Path.write_bytes

    def watched(path: Path, data: bytes) -> int:
        written = real(path, data[: len(data) // 2])
        seen.append(manifest.load(tmp_path).state)
        return written + real(path, data)

    monkeypatch.setattr(Path, "write_bytes", watched)
    manifest.save(manifest_of(RunState.RUNNING), tmp_path)
    assert (seen, manifest.load(tmp_path).state) == (["starting"], "running")


def test_nothing_but_the_manifest_is_left(tmp_path: Path) -> None:
    manifest.save(manifest_of(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_manifest_is_for_people_too(tmp_path: Path) -> None:
    manifest.save(manifest_of(), tmp_path)
    text = (tmp_path / "manifest.json").read_text()
    assert json.loads(text)["state"] == "done"
    assert text.count("\n") > 20


def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(msgspec.ValidationError, match="run_id"):
        manifest.load(tmp_path)


@pytest.mark.parametrize("state", GOING_ON)
def test_a_run_that_says_it_goes_on_but_whose_harness_is_gone_is_abandoned(state: RunState, tmp_path: Path) -> None:
    pid, started = manifest.own_identity()
    assert manifest_of(state, pid=pid, started=started + 1).abandoned(tmp_path)


@pytest.mark.parametrize("state", GOING_ON)
def test_a_run_whose_harness_lives_is_not_abandoned(state: RunState, tmp_path: Path) -> None:
    pid, started = manifest.own_identity()
    assert not manifest_of(state, pid=pid, started=started).abandoned(tmp_path)


@pytest.mark.parametrize("state", GOING_ON)
def test_a_harness_in_another_container_lives_as_long_as_it_holds_the_directory(
    state: RunState, tmp_path: Path
) -> None:
    pid, _ = manifest.own_identity()
    # As another container sees it: a process has that id, but it is not the harness.
    run = manifest_of(state, pid=pid, started=-1)
    with manifest.held(tmp_path):
        assert not run.abandoned(tmp_path)
    assert run.abandoned(tmp_path)


def test_a_killed_harness_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time\nfrom stress import manifest\n"
        "with manifest.held(pathlib.Path(sys.argv[1])):\n    print(flush=True)\n    time.sleep(60)"
    )
    run = manifest_of(RunState.RUNNING, pid=os.getpid(), started=-1)
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT) as harness:
        assert harness.stdout is not None
        harness.stdout.readline()
        held = not run.abandoned(tmp_path)
        harness.kill()
    assert held
    assert run.abandoned(tmp_path)


@pytest.mark.parametrize("state", OVER)
def test_a_run_that_is_over_is_not_abandoned(state: RunState, tmp_path: Path) -> None:
    assert not manifest_of(state, pid=1, started=-1).abandoned(tmp_path)


def test_a_further_state_keeps_the_end_and_the_error() -> None:
    failed = manifest_of().with_state(RunState.FAILED, ended=True, error="no memory")
    later = failed.with_state(RunState.INTERRUPTED)
    assert (later.ended_at, later.error) == (failed.ended_at, "no memory")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan of nothing but defaults, and a seed."""
    return check(Options(seed="7", out=str(tmp_path / "run")))


def test_the_command_has_every_default_written_out(plan: Plan) -> None:
    words = shlex.split(manifest.command_line(["run"], plan))
    assert words[:2] == ["stress", "run"]
    given = dict(zip(words[2::2], words[3::2], strict=True))
    ours = "+".join(plan.arms[1].fixes)
    arms = [value for option, value in zip(words[2::2], words[3::2], strict=True) if option == "--arm"]
    assert arms == ["stock=airflow:3.2.1,fixes:none", f"fixed=airflow:3.2.1,fixes:{ours}"]
    assert {
        option: given[option] for option in ("--airflow", "--budget", "--load", "--workers", "--runtime", "--seed")
    } == {
        "--airflow": "3.2.1",
        "--budget": f"{plan.budget_s:g}s",
        "--load": f"{plan.load.seconds:g}s",
        "--workers": "hollow",
        "--runtime": "local",
        "--seed": "7",
    }


def test_the_command_makes_the_same_plan_again(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsed by the real command line, without the defaults of the day."""
    seen: list[Plan] = []

    def execute(asked: Run) -> int:
        seen.append(asked._plan)
        return 0

    monkeypatch.setattr(Run, "execute", execute)
    assert main(shlex.split(manifest.command_line(["run", "--no-tui"], plan))[1:]) == 0
    again = seen[0]
    same = ("seed", "arms", "scenarios", "runtime", "budget_s", "workers", "load", "races", "faults")
    assert {name: getattr(again, name) for name in same} == {name: getattr(plan, name) for name in same}


@pytest.mark.parametrize("typed", [["--seed=5", "--budget", "2m"], ["--arm", "a=config:core.x=b c"]])
def test_what_was_typed_is_kept_and_not_said_twice(typed: list[str], plan: Plan) -> None:
    words = shlex.split(manifest.command_line(["run", *typed], plan))
    assert words[2 : 2 + len(typed)] == typed
    option = typed[0].partition("=")[0]
    assert sum(word.partition("=")[0] == option for word in words) == 1


def test_the_directory_is_left_out_since_a_run_is_never_written_over_another(plan: Plan) -> None:
    command = manifest.command_line(["run", "--out", "somewhere", "--out=elsewhere", "--no-tui"], plan)
    assert command.startswith("stress run --no-tui --scenario ")
    assert "where" not in command


def test_a_run_is_tied_to_the_code_that_made_it(plan: Plan) -> None:
    made = manifest.instrument_of(plan)
    assert (made.version, made.commit) == (__version__, instrument.commit())
    assert set(made.fixes) == set(plan.arms[1].fixes)
    assert all(re.fullmatch("[0-9a-f]{12}", digest) for digest in made.fixes.values())


def test_a_manifest_of_before_is_still_read(tmp_path: Path) -> None:
    manifest.save(manifest_of(), tmp_path)
    old = json.loads((tmp_path / "manifest.json").read_text())
    del old["instrument"], old["differences"]
    (tmp_path / "manifest.json").write_text(json.dumps(old))
    assert manifest.load(tmp_path).instrument.commit == "unknown"


def test_the_host_s_facts_do_not_name_it() -> None:
    facts = manifest.host_facts()
    assert set(facts) == {"cpus", "memory_gib", "kernel", "machine", "python"}
    assert os.uname().nodename not in facts.values()


def test_the_facts_of_the_reports_are_the_manifest_s() -> None:
    facts = manifest_of().facts()
    assert (facts.run_id, facts.command, facts.host) == ("20270115-080000-abcdef", "stress run --seed 7", {"cpus": "2"})
