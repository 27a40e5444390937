"""`stress run` as a user meets it when things go wrong: a killed harness, an interrupt, a log that is moved away.

Each runs the command itself against a real cluster, with a short load of one scenario.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stress import feed, history
from stress.cluster.supervision import procfs, registry
from stress.components import NAMES
from stress.judge.history import views
from tests.timing import wait_for

STARTED_WITHIN_S = 150.0
GONE_WITHIN_S = 15.0


@dataclass
class StartedRun:
    """A run in a process of its own, with what it printed so far."""

    process: subprocess.Popen[str]
    directory: Path
    output: Path

    def text(self) -> str:
        return self.output.read_text()

    def await_line(self, part: str) -> None:
        """Until the run has printed this; fails if it ends before."""
        wait_for(
            lambda: part in self.text() or self.process.poll() is not None,
            STARTED_WITHIN_S,
            f"the run to print {part!r}",
        )
        assert part in self.text(), f"the run ended first:\n{self.text()}"

    def await_events(self, kind: str, count: int) -> None:
        """Until the history has so many events of a kind."""
        journal = self.directory / "history.jsonl"
        wait_for(lambda: journal.read_text().count(f'"kind":"{kind}"') >= count, 60.0, f"{count} events {kind}")

    @property
    def record(self) -> registry.RunRecord:
        run_id = json.loads((self.directory / "manifest.json").read_text())["run_id"]
        return next(record for record in registry.records() if record.run_id == run_id)


def stress(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of the project, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "stress", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def run(tmp_path: Path) -> Iterator[StartedRun]:
    """A run of the deadlock's scenario whose first block is under load; ended, if it still goes on, by an interrupt.

    The budget is the least, which is used up by a block of each arm.
    """
    directory, output = tmp_path / "run", tmp_path / "output"
    command = [
        sys.executable,
        "-m",
        "stress",
        "run",
        "--no-tui",
        "--metrics-port",
        "19108",
        "--scenario",
        "version_churn",
    ]
    command += ["--out", str(directory), "--budget", "60s", "--load", "12s", "--seed", "1"]
    with output.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, text=True)
    started = StartedRun(process, directory, output)
    try:
        started.await_line("): load")  # of whichever arm the seed puts first
        yield started
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def test_a_killed_harness_leaves_no_process_and_a_history_that_can_be_judged(run: StartedRun) -> None:
    run.await_events("api_answered", 3)
    record = run.record
    assert len(procfs.members(record.mark)) > 6, "the cluster was not there to begin with"
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()
    killed_at = time.time()
    wait_for(lambda: not procfs.members(record.mark), GONE_WITHIN_S, "the run's processes to end")
    wait_for(lambda: not Path(record.directory).exists(), GONE_WITHIN_S, "the run's files to be removed")

    last = json.loads((run.directory / "history.jsonl").read_text().splitlines()[-1])
    assert killed_at - last["t"] < 2.0, "more than the last moment of the history is missing"
    written = list(feed.transactions(run.directory, 0))
    assert last["t"] - written[-1].at < 3.0, "more than the last moment of the change feed is missing"
    judged = stress("analyze", str(run.directory))
    assert judged.returncode == 2, judged.stdout + judged.stderr
    results = json.loads((run.directory / "results.json").read_text())
    assert (results["state"], results["verdict"]) == ("interrupted", "unknown")
    assert stress("report", str(run.directory)).returncode == 2
    assert "interrupted" in (run.directory / "report.html").read_text()


def test_an_interrupt_stops_the_load_and_judges_what_there_is(run: StartedRun) -> None:
    run.await_events("api_answered", 3)
    record = run.record
    run.process.send_signal(signal.SIGINT)
    # No block is complete, so that there is no evidence.
    assert run.process.wait(60) == 130, run.text()
    assert not procfs.members(record.mark), "something is left running"
    manifest = json.loads((run.directory / "manifest.json").read_text())
    assert manifest["state"] == "interrupted"
    assert (run.directory / "report.html").exists()
    assert [path.name for path in (run.directory / "feed").iterdir()] == ["0.jsonl.gz"]


def test_a_log_that_is_moved_away_makes_the_race_unknown(run: StartedRun) -> None:
    log = Path(run.record.directory) / "postgres" / "log" / "postgresql.json"
    log.rename(log.with_suffix(".moved"))
    run.await_line("postgres_log is blind")
    assert run.process.wait(240) == 2, run.text()
    results = json.loads((run.directory / "results.json").read_text())
    assert results["races"]["deadlock"]["verdict"] == "unknown"
    assert "blind" in results["races"]["deadlock"]["reason"]
    assert any("postgres_log" in reason for reason in results["blind"])
    # The change feed is whole all the same: each task instance that succeeded went through the states before.
    stored = history.read(run.directory / history.FILE_NAME)
    for view in views(stored):
        assert view.blind("change_feed") == ()
        states: dict[tuple[str, ...], list[str | None]] = {}
        writers = set()
        for transaction in view.transactions():
            writers.add(transaction.writer)
            for change in transaction.changes:
                if change.table == "task_instance" and "state" in change.columns:
                    states.setdefault(change.key, []).append(change.columns["state"])
        finished = [each for each in states.values() if each[-1] == "success"]
        assert len(finished) > 20
        assert all(each[-4:] == ["scheduled", "queued", "running", "success"] for each in finished), finished
        assert writers - {""} <= set(NAMES)
        assert {"scheduler-1", "api-server"} <= writers
