"""A release's process that plays schedules, and the database that it plays them on.

The process imports Airflow (three seconds) while the server starts; then it gets its request, and answers with JSON
objects, one a line (`airflow_stress_explore/core/protocol.py`). The server and the process are the command's own, and
end with it, however it ends: both carry the run's label, and the watchdog ends what is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stress.arms.environments import AirflowEnvironment, environment_for
from stress.arms.overlay import Part, directories
from stress.arms.releases import Release
from stress.cluster.supervision import procfs
from stress.cluster.supervision.guard import RunGuard
from stress.errors import StressError
from stress.explore import lab
from stress.explore.catalogue import Engine
from stress.layout import FIXES, MOUNTED

_READY_TIMEOUT_S = 120.0
_LINE_TIMEOUT_S = 120.0
"""How long the process may say nothing, beyond the budget that it was given."""


class RunnerFailed(StressError):  # noqa: N818 - it says what happened
    """The process ended, said nothing for too long, or failed. The message says what it said last."""


@dataclass
class Runner:
    """One process of a release on one database."""

    release: Release
    fixes: Sequence[str]
    progress: Callable[[str], None]
    overlay: Sequence[Part] = ()
    statuses: dict[str, str] = field(default_factory=dict)
    """What each fix has reported, as of the last summary."""

    def ask(
        self, request: dict[str, Any], engine: Engine, *, budget_s: float, workers: int = 1
    ) -> Iterator[dict[str, Any]]:
        """Serve a request; yields the lines. Raises RunnerFailed, or another StressError of the machine.

        `workers`: how many schedules a search of the database plays at once, each on its own database.
        """
        environment = environment_for(self.release, progress=self.progress)
        environment = replace(environment, overlay=directories(self.overlay, environment))
        # The migrations of an overlay may differ from the release's.
        is_kept = engine is Engine.SQL and not self.overlay
        kept = lab.kept_directory(self.release, self.progress) if is_kept else None
        guard = RunGuard()
        server = lab.LabServer(guard.directory / "postgres", guard.label, kept)
        with contextlib.ExitStack() as stack:
            stack.callback(guard.close)
            stack.callback(server.stop)
            home = guard.directory / "home"
            reports = guard.directory / "fixes"
            variables = {
                **lab.airflow_variables(environment, home, server),
                "PYTHONPATH": os.pathsep.join(map(str, (FIXES, *environment.overlay, MOUNTED))),
                "AIRFLOW_STRESS_FIXES": ",".join(self.fixes),
                "AIRFLOW_STRESS_FIX_REPORT_DIR": str(reports),
                "AIRFLOW_STRESS_COMPONENT": "explore",
                procfs.LABEL: guard.label.run_id,
            }
            log = guard.directory / "runner.log"
            with log.open("wb") as errors:
                process = subprocess.Popen(
                    [str(environment.python), "-m", engine.value],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=variables,
                    cwd=guard.label.anchor,
                    start_new_session=True,
                )
            stack.callback(_end, process)
            databases = self._start(server, environment, guard, workers) if engine is Engine.SQL else []
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # `_lines` reports that the process has ended
                process.stdin.write(json.dumps({**request, "databases": databases}).encode() + b"\n")
                process.stdin.close()
            for line in self._lines(process, log, budget_s):
                if line["kind"] == "summary":
                    self.statuses = _statuses(reports)
                yield line

    def _start(
        self, server: lab.LabServer, environment: AirflowEnvironment, guard: RunGuard, workers: int
    ) -> list[str]:
        """Start the server; gives the URLs of the databases of all workers but the first."""
        server.start()
        if self.overlay:
            self.progress("making a database for the code under test")
            lab.migrate(environment, server, guard)
        names = [f"{lab.DATABASE}_{number}" for number in range(2, workers + 1)]
        for name in names:
            server.create_database(name, template=lab.DATABASE)
        return [server.sqlalchemy_url(name, "explore") for name in names]

    def _lines(self, process: subprocess.Popen[bytes], log: Path, budget_s: float) -> Iterator[dict[str, Any]]:
        lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        end = time.monotonic() + budget_s + _READY_TIMEOUT_S
        while True:
            try:
                line = lines.get(timeout=max(_LINE_TIMEOUT_S, end - time.monotonic()))
            except queue.Empty:
                raise RunnerFailed(
                    f"the process said nothing for too long; the end of its log:\n{_tail(log)}"
                ) from None
            if line is None:
                code = process.wait(timeout=30)
                if code != 0:
                    raise RunnerFailed(f"the process ended with exit code {code}; the end of its log:\n{_tail(log)}")
                return
            answer = json.loads(line)
            if answer["kind"] in ("failed", "error"):
                raise RunnerFailed(str(answer.get("trace") or answer.get("message")).strip())
            yield answer


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # it has its own session, with its workers
    process.wait(timeout=30)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]) or "(it is empty)"


def _statuses(reports: Path) -> dict[str, str]:
    """The last status of each fix."""
    found = [json.loads(line) for file in reports.glob("*.jsonl") for line in file.read_text("utf-8").splitlines()]
    return {line["fix"]: line["status"] for line in sorted(found, key=lambda line: float(line["t"]))}
