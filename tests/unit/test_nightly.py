"""`.ci/nightly` as the workflow runs it, on a Docker that plays outcomes (`fake_docker.py`).

Exit code, page, JUnit, what is kept, and that the containers are removed, whatever happens.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from stress import events, manifest
from stress.history import History
from stress.layout import ROOT
from stress.report import write_all
from stress.results import RunState
from stress.run.stored import analyse
from tests.unit.histories import Block, deadlock, run, write

NIGHTLY = ROOT / ".ci" / "nightly"
LIMIT = 1024 * 1024
FAKE = Path(__file__).with_name("fake_docker.py")


def blocks(incidents_fixed: int = 0, incidents_stock: int = 10) -> History:
    """Nine blocks; by default deadlocks on stock only."""
    made = []
    for number, arm in enumerate(("stock", "fixed", "fixed", "stock", "stock", "fixed", "fixed", "stock", "stock")):
        block = Block(arm, number)
        block.add(1, events.ApiAnswered(operation="success", code=204, count=1000, seconds=1.0, buckets=[0] * 13))
        for second in range(incidents_stock if arm == "stock" else incidents_fixed):
            block.add(second, deadlock(second))
        made.append(block.end(tasks=600))
    return run(*made, races=("deadlock",))


def ended(directory: Path, history: History, state: RunState = RunState.DONE) -> Path:
    """A run's directory with its reports."""
    write(directory, history, state)
    kept, results = analyse(directory)
    write_all(results, kept.facts(), directory)
    return directory


@dataclass(frozen=True)
class Soak:
    """One call of `.ci/nightly` and what it left."""

    code: int
    told: str
    out: Path
    page: str
    calls: list[str]

    @property
    def summary(self) -> str:
        return (self.out / "summary.md").read_text()

    @property
    def headline(self) -> str:
        return self.summary.partition("\n")[0]

    @property
    def junit(self) -> ET.Element:
        return ET.parse(self.out / "junit.xml").getroot()

    @property
    def bad(self) -> list[str]:
        """The messages of all cases that did not pass."""
        return [str(case.get("message")) for kind in ("failure", "error") for case in self.junit.iter(kind)]

    @property
    def is_removed(self) -> bool:
        return any(call.endswith("down --volumes --remove-orphans --timeout 10") for call in self.calls)


class Stage:
    """A machine with the played Docker."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fake = directory / "fake"
        self.fake.mkdir()
        self.run = self.fake / "run"
        self.out = directory / "out"
        self.page = directory / "page.md"
        programs = directory / "bin"
        programs.mkdir()
        docker = programs / "docker"
        docker.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-S", str(FAKE)])} "$@"\n')
        docker.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "FAKE_DOCKER": str(self.fake),
            "GITHUB_STEP_SUMMARY": str(self.page),
        }

    def begin(self, play: str, *words: str, python: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        (self.fake / "play").write_text(play)
        given = words or ("--duration", "2m", "--seed", "7", "--out", str(self.out))
        return subprocess.Popen(
            [sys.executable, *python, str(NIGHTLY), *given],
            env=self.environment,
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, process: subprocess.Popen[str]) -> Soak:
        told, _ = process.communicate(timeout=120)
        calls = self.fake / "calls"
        return Soak(
            process.returncode,
            told,
            self.out,
            self.page.read_text() if self.page.exists() else "",
            calls.read_text().splitlines() if calls.exists() else [],
        )

    def soak(self, play: str, *words: str) -> Soak:
        return self.end(self.begin(play, *words))

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + 30
        while not (self.fake / "up").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def wait_until_asked_to_end(self) -> None:
        """Until the soak has taken its first signal: one that follows at once may be merged with it."""
        state = self.out / "nightly.json"
        deadline = time.monotonic() + 30
        while not json.loads(state.read_text())["reasons"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def goes_on(stage: Stage) -> None:
    """A run whose harness is in the middle of it; in another container some process has its id."""
    write(stage.run, blocks(), RunState.RUNNING, pid=os.getpid(), started=-1)


# -- how it ends -----------------------------------------------------------------------------------------------------


def test_a_run_that_passes_is_green(stage: Stage) -> None:
    ended(stage.run, blocks())
    soak = stage.soak("passes")
    assert (soak.code, soak.bad, soak.is_removed) == (0, [], True)
    assert soak.headline.startswith("# Pass: ")
    assert [case.get("name") for case in soak.junit.iter("testcase")] == ["deadlock", "harm", "soak"]
    assert soak.junit.get("tests") == "3"
    assert soak.page == soak.summary


def test_what_is_run_is_what_was_asked_for(stage: Stage) -> None:
    ended(stage.run, blocks())
    soak = stage.soak("passes", "--duration", "90s", "--seed", "12", "--airflow", "3.3.2", "--out", str(stage.out))
    up = next(call for call in soak.calls if " up " in call)
    assert up.endswith("up --build --exit-code-from stress stress prometheus")
    assert "`.ci/nightly --duration 90s --seed 12 --airflow 3.3.2`" in soak.summary


def test_everything_is_kept(stage: Stage) -> None:
    ended(stage.run, blocks())
    soak = stage.soak("passes")
    kept = {path.name for path in (soak.out / "runs" / "20270115-080000-abcdef").iterdir()}
    assert kept >= {"history.jsonl", "manifest.json", "results.json", "report.html", "junit.xml", "summary.md"}
    assert "scheduler-1" in (soak.out / "containers.log").read_text()
    assert json.loads((soak.out / "containers.json").read_text())
    assert "2.26.1" in (soak.out / "engine.txt").read_text()
    assert "stock against fixed" in (soak.out / "compose.log").read_text()


def test_a_race_that_remains_is_a_failure_of_its_own(stage: Stage) -> None:
    ended(stage.run, blocks(incidents_fixed=10))
    soak = stage.soak("fails")
    assert (soak.code, len(soak.bad), soak.is_removed) == (1, 1, True)
    assert soak.headline.startswith("# Fail: ")
    assert "| deadlock | remains |" in soak.summary


def test_a_killed_harness_is_judged_from_its_history_and_never_green(stage: Stage) -> None:
    goes_on(stage)
    soak = stage.soak("killed")
    assert (soak.code, soak.is_removed) == (3, True)
    assert soak.headline == "# Failed: the harness died with exit code 137 (killed)"
    assert "## Unknown: " in soak.summary
    assert "| deadlock |" in soak.page
    assert any("the harness died" in message for message in soak.bad)
    [directory] = (path for path in (soak.out / "runs").iterdir())
    assert manifest.load(directory).state == "interrupted"
    assert (directory / "report.html").exists()


def test_a_history_that_can_not_be_judged_is_a_failure_that_says_so(stage: Stage) -> None:
    goes_on(stage)
    soak = stage.soak("unreadable")
    assert (soak.code, soak.is_removed) == (3, True)
    assert "out of memory" in soak.headline
    assert "no space left on device" in soak.page
    assert any("could not be judged" in message for message in soak.bad)


def test_compose_that_fails_at_once_is_not_a_race_that_remains(stage: Stage) -> None:
    soak = stage.soak("no cluster")
    assert (soak.code, soak.is_removed) == (3, True)
    assert soak.headline == "# Failed: the harness never started: docker compose ended with exit code 1"
    assert "dependency failed to start: container migrate exited (1)" in soak.page
    assert len(soak.bad) == 1


def test_a_harness_that_ends_well_without_a_run_is_not_green(stage: Stage) -> None:
    soak = stage.soak("silent")
    assert (soak.code, soak.is_removed) == (3, True)
    assert soak.headline == "# Failed: there is no run: nothing was recorded"
    assert soak.bad


def test_the_harness_s_own_refusal_is_passed_on(stage: Stage) -> None:
    soak = stage.soak("refused")
    assert (soak.code, bool(soak.bad), soak.is_removed) == (64, True, True)


@pytest.mark.parametrize(
    ("history", "state"),
    [
        pytest.param(blocks(incidents_stock=0), RunState.DONE, id="the control showed nothing"),
        pytest.param(blocks(incidents_fixed=10), RunState.DONE, id="a race remains"),
        pytest.param(blocks(), RunState.INTERRUPTED, id="it was interrupted"),
    ],
)
def test_an_exit_code_that_the_reports_contradict_is_not_green(stage: Stage, history: History, state: RunState) -> None:
    ended(stage.run, history, state)
    soak = stage.soak("forged")
    assert (soak.code, soak.is_removed) == (3, True)
    assert "# Failed: the run ended with exit code 0, but" in soak.headline
    assert soak.bad


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("harm", [{"measure": "throughput", "verdict": "worse"}], "but throughput is worse under test"),
        ("errors", ["no space left"], "but it reports an error: no space left"),
    ],
)
def test_harm_and_errors_beside_exit_code_0_are_not_green(stage: Stage, key: str, value: object, told: str) -> None:
    results = ended(stage.run, blocks()) / "results.json"
    results.write_text(json.dumps({**json.loads(results.read_text()), key: value}))
    soak = stage.soak("forged")
    assert (soak.code, soak.headline) == (3, f"# Failed: the run ended with exit code 0, {told}")
    assert soak.bad


def test_containers_that_stay_are_told(stage: Stage) -> None:
    ended(stage.run, blocks())
    (stage.fake / "asked").touch()
    soak = stage.soak("stuck")
    assert soak.code != 0
    assert "the containers could not be removed: volume in use" in soak.page
    assert soak.bad


# -- cut short -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_run_judge_what_there_is(stage: Stage, number: signal.Signals) -> None:
    ended(stage.run, blocks(), RunState.INTERRUPTED)
    process = stage.begin("waits")
    stage.wait_until_up()
    process.send_signal(number)
    soak = stage.end(process)
    assert (soak.code, soak.is_removed) == (2, True)
    assert soak.headline == f"# Failed: it was asked to end by {number.name}"
    assert "## Unknown: " in soak.page
    assert soak.bad


def test_a_second_signal_kills_and_the_history_is_judged_all_the_same(stage: Stage) -> None:
    goes_on(stage)
    process = stage.begin("deaf")
    stage.wait_until_up()
    process.send_signal(signal.SIGTERM)
    stage.wait_until_asked_to_end()
    process.send_signal(signal.SIGTERM)
    soak = stage.end(process)
    assert (soak.code, soak.is_removed) == (3, True)
    assert "| deadlock |" in soak.page
    assert "it was killed, as it did not end soon enough" in soak.page


def test_a_run_without_end_is_ended(stage: Stage) -> None:
    ended(stage.run, blocks(), RunState.INTERRUPTED)
    # A minute is the least that may be asked for, and more than this test has.
    impatient = (
        "import runpy, sys\n"
        "names = runpy.run_path(sys.argv[1])\n"
        "names['main'].__globals__['LEAST_S'] = 1.0\n"
        "sys.exit(names['main'](sys.argv[2:]))"
    )
    words = ("--duration", "1s", "--beyond", "1s", "--out", str(stage.out))
    process = stage.begin("waits", *words, python=("-c", impatient))
    soak = stage.end(process)
    assert (soak.code, soak.is_removed) == (2, True)
    assert re.match(r"# Failed: it had not ended .* beyond its duration of 1s", soak.headline)


def test_a_killed_soak_is_finished_later(stage: Stage) -> None:
    goes_on(stage)
    process = stage.begin("waits")
    stage.wait_until_up()
    process.kill()
    assert not stage.end(process).is_removed
    (stage.fake / "asked").touch()  # Compose, which lives on, ends
    deadline = time.monotonic() + 30
    while not (stage.fake / "code").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    soak = stage.soak("waits", "--finish", "--out", str(stage.out))
    assert (soak.code, soak.is_removed) == (2, True)
    assert soak.headline == "# Failed: the soak was killed before its end, and finished later"
    assert "| deadlock |" in soak.page
    assert soak.bad


def test_to_finish_a_finished_soak_changes_nothing(stage: Stage) -> None:
    ended(stage.run, blocks(incidents_fixed=10))
    first = stage.soak("fails")
    stage.page.unlink()
    again = stage.soak("fails", "--finish", "--out", str(stage.out))
    assert (again.code, again.calls, again.page) == (1, first.calls, "")


# -- the page --------------------------------------------------------------------------------------------------------


def test_the_page_stays_within_github_s_limit_and_the_verdict_comes_first(stage: Stage) -> None:
    directory = ended(stage.run, blocks())
    own = (directory / "summary.md").read_text()
    (directory / "summary.md").write_text(own + "- one more witness, and it is not the last, é\n" * 50_000)
    soak = stage.soak("passes")
    assert len(soak.summary.encode()) > LIMIT
    assert len(soak.page.encode()) <= LIMIT
    assert soak.page.startswith(own.partition("\n\n")[0])
    assert "| deadlock | removed |" in soak.page
    kept, _, note = soak.page.partition("\n*Cut here: ")
    assert soak.summary.startswith(kept)
    assert kept.endswith("é\n")
    left = re.match(r"([\d,]+) more lines \(([\d,]+) bytes\)", note)
    assert left is not None
    assert int(left[2].replace(",", "")) == len(soak.summary.encode()) - len(kept.encode())


def test_what_the_page_held_before_is_kept(stage: Stage) -> None:
    ended(stage.run, blocks())
    stage.page.write_text("Before.\n\n")
    assert stage.soak("passes").page.startswith("Before.\n\n# Pass: ")


def test_without_github_there_is_the_summary_only(stage: Stage) -> None:
    ended(stage.run, blocks())
    del stage.environment["GITHUB_STEP_SUMMARY"]
    soak = stage.soak("passes")
    assert (soak.code, soak.page) == (0, "")
    assert soak.headline.startswith("# Pass: ")


def test_a_page_that_can_not_be_written_is_not_green(stage: Stage) -> None:
    ended(stage.run, blocks())
    stage.environment["GITHUB_STEP_SUMMARY"] = str(stage.directory / "nowhere" / "page.md")
    soak = stage.soak("passes")
    assert (soak.code, soak.is_removed) == (3, True)
    assert soak.headline.startswith("# Failed: the job's page can't be written")


# -- options and the machine -----------------------------------------------------------------------------------------


def test_all_mistakes_are_told_at_once(stage: Stage) -> None:
    words = ("--duration", "10", "--seed", "4294967296", "--airflow", "3.2.1;x", "--beyond", "", "--out", "", "--seeds")
    soak = stage.soak("passes", *words)
    assert soak.code == 64
    assert all(word in soak.told for word in ("--duration", "--seed '4", "--airflow", "--beyond", "--out", "--seeds"))
    assert not stage.out.exists()
    assert soak.calls == []


@pytest.mark.parametrize("make", [Path.touch, lambda path: (path / "x").mkdir(parents=True)], ids=["file", "full"])
def test_only_a_new_directory_is_written_to(stage: Stage, make: Callable[[Path], None]) -> None:
    make(stage.out)
    soak = stage.soak("passes")
    assert soak.code == 64
    assert "is not empty: name a new directory" in soak.told


@pytest.mark.parametrize(
    "words",
    [("--finish",), ("--finish", "--out", "nowhere"), ("--finish", "--out", "nowhere", "--seed", "1")],
    ids=" ".join,
)
def test_nothing_can_be_finished_where_nothing_was_begun(stage: Stage, words: tuple[str, ...]) -> None:
    soak = stage.soak("passes", *words)
    assert soak.code == 64
    assert soak.calls == []


@pytest.mark.parametrize(
    ("play", "told"),
    [("no engine", "no Docker engine answers (Cannot connect"), ("old compose", "of version 2 or newer is needed")],
)
def test_a_machine_without_docker_is_told_what_to_do(stage: Stage, play: str, told: str) -> None:
    soak = stage.soak(play)
    assert soak.code == 3
    assert told in soak.told
    assert told in soak.page
    assert len(soak.bad) == 1


def test_a_machine_without_the_docker_command_is_told_the_same(stage: Stage) -> None:
    stage.environment["PATH"] = str(stage.directory / "nothing")
    soak = stage.soak("passes")
    assert soak.code == 3
    assert "no Docker engine answers (docker: No such file or directory)" in soak.told
