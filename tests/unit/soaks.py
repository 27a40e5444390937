"""A machine for the soak with a fake Docker (`fake_docker.py`). The soak itself is the real one."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from stress import events
from stress.history import History
from stress.layout import ROOT
from stress.report import write_all
from stress.results import RunState
from stress.run.stored import analyse
from tests.timing import wait_for
from tests.unit.histories import Block, deadlock, run, write

NIGHTLY = ROOT / ".ci" / "nightly"
FAKE = Path(__file__).with_name("fake_docker.py")
WAIT_S = 60
END_S = 240
"""A soak takes 2 s of CPU: a machine that runs much else may be a hundred times slower."""


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
    """A soak that has ended, and what it left."""

    code: int
    output: str
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


class Machine:
    """A machine with the fake Docker. Its `python3` has no installed packages: the soak must need none."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fake = directory / "fake"
        self.fake.mkdir()
        self.run = self.fake / "run"
        self.out = directory / "out"
        self.page = directory / "page.md"
        self.programs = directory / "bin"
        self.programs.mkdir()
        self._program("python3", sys.executable, "-S")
        self._program("docker", sys.executable, "-S", str(FAKE))
        self.environment = {
            **os.environ,
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "FAKE_DOCKER": str(self.fake),
            "GITHUB_STEP_SUMMARY": str(self.page),
        }

    def _program(self, name: str, *command: str) -> None:
        program = self.programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        program.chmod(0o755)

    def begin(self, play: str, *words: str, command: Sequence[str] = (str(NIGHTLY),)) -> subprocess.Popen[str]:
        """Start a soak with an outcome of `fake_docker.py`."""
        (self.fake / "play").write_text(play)
        given = words or ("--duration", "2m", "--seed", "7", "--out", str(self.out))
        return subprocess.Popen(
            [*command, *given],
            env=self.environment,
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, process: subprocess.Popen[str]) -> Soak:
        """Wait for the end of a soak."""
        output, _ = process.communicate(timeout=END_S)
        calls = self.fake / "calls"
        return Soak(
            process.returncode,
            output,
            self.out,
            self.page.read_text() if self.page.exists() else "",
            calls.read_text().splitlines() if calls.exists() else [],
        )

    def soak(self, play: str, *words: str) -> Soak:
        """A soak from its start to its end."""
        return self.end(self.begin(play, *words))

    def wait_until_up(self) -> None:
        """Until the harness's container runs."""
        wait_for((self.fake / "up").exists, WAIT_S, "the harness to start")

    def wait_until_asked_to_end(self) -> None:
        """Until the soak has taken its first signal: a second one that follows at once may be merged with it."""
        state = self.out / "nightly.json"
        wait_for(lambda: bool(json.loads(state.read_text())["reasons"]), WAIT_S, "the soak to take a signal")

    def end_compose(self) -> None:
        """End a Compose that outlives its soak."""
        (self.fake / "asked").touch()
        wait_for((self.fake / "code").exists, WAIT_S, "Compose to end")


def leave_running(machine: Machine) -> None:
    """A run that its harness does not end. In another container some process has the harness's id."""
    write(machine.run, blocks(), RunState.RUNNING, pid=os.getpid(), started=-1)
