"""`docker compose up` until the run ends by itself or must end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import IO

from stress.soak.docker import Docker
from stress.soak.state import Soak, say

_POLL_S = 0.2
_JUDGING_S = 120
"""How long a run may take to end once it is asked to: docker-compose.yml gives it 90 s."""
_COMPOSE_KILL_S = 30
_EXIT_S = 10
_OUTPUT_S = 5


class Signals:
    """Records signals instead of dying of them: what a soak recorded is collected in every case."""

    def __init__(self, soak: Soak) -> None:
        self._soak = soak
        self.ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._take)

    @property
    def count(self) -> int:
        """How many signals came while the run lasted."""
        return len(self._soak.signals)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        # After the run's end, signals change nothing: the collecting that remains takes a minute.
        if not self.ended.is_set():
            self._soak.signals.append(signal.Signals(number).name)


def run(soak: Soak, docker: Docker, signals: Signals) -> None:
    """Run `docker compose up` to its end: by itself, by a signal, or soon after the soak's time is over."""
    try:
        process = docker.start("up", "--build", "--exit-code-from", "stress", "stress", "prometheus")
    except OSError as error:
        soak.reasons.append(f"docker compose can't be run: {error.strerror or error}")
        return
    assert process.stdout is not None
    copier = threading.Thread(target=_copy, args=(process.stdout, soak.out / "compose.log"), daemon=True)
    copier.start()
    over_at = time.monotonic() + soak.duration_s + soak.beyond_s
    asked_at: float | None = None
    while not _ended(process):
        now = time.monotonic()
        if asked_at is None and (signals.count or now > over_at):
            soak.reasons.append(
                f"interrupted by {soak.signals[0]}"
                if signals.count
                else f"the run had not ended {soak.beyond_s / 60:g} min beyond its duration of {soak.duration}"
            )
            soak.save()
            say(f"{soak.reasons[-1]}: ending the run, to judge what it recorded")
            _ask_to_end(docker, process)
            asked_at = time.monotonic()
        elif asked_at is not None and (signals.count > 1 or now > asked_at + _JUDGING_S):
            say("killing the run, to judge its stored history")
            soak.reasons.append("the run was killed because it did not end in time")
            docker.compose("kill", timeout_s=_COMPOSE_KILL_S)
            _kill(process)
    soak.compose_code = process.returncode
    # A process that outlives Compose may have inherited its pipe.
    copier.join(_OUTPUT_S)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Wait a moment for the end of a process."""
    try:
        process.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _ask_to_end(docker: Docker, process: subprocess.Popen[bytes]) -> None:
    """Interrupt the harness if it runs: it judges and ends, and Compose then ends the rest. Otherwise end Compose."""
    running = docker.compose("ps", "--status", "running", "--quiet", "stress")
    if running.code != 0 or not running.text.strip() or docker.compose("kill", "--signal", "SIGTERM", "stress").code:
        process.terminate()


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_EXIT_S)  # without its containers it ends by itself
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _copy(source: IO[bytes], log: Path) -> None:
    """Copy Compose's output to the log and to the terminal. The log is written on when the terminal is gone."""
    terminal = True
    with log.open("ab") as file:
        for line in source:
            file.write(line)
            file.flush()
            if terminal:
                try:
                    sys.stdout.buffer.write(line)
                    sys.stdout.buffer.flush()
                except (OSError, ValueError):
                    terminal = False
