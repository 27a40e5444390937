"""The harness's side of "nothing is left running, however the run ends".

`RunGuard` registers the run, starts the watchdog before anything else, and reports to it at the end that all is
cleaned up. If the watchdog itself dies, `check` starts another one and says so: no other process notices its death.

Not covered: a harness that forks without exec (`multiprocessing`'s fork method) hands the pipe's writing end to its
child. Start helpers with `processes.spawn`, which also labels them.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from pathlib import Path

from stress.cluster.errors import ClusterError
from stress.cluster.supervision import registry
from stress.cluster.supervision.processes import Label
from stress.cluster.supervision.reaper import end_run
from stress.cluster.supervision.watchdog import GOODBYE

_WATCHDOG = "stress.cluster.supervision.watchdog"
_READY_TIMEOUT_S = 15.0
_GOODBYE_TIMEOUT_S = 5.0


class RunGuard:
    """One run's registration and its watchdog."""

    def __init__(self, run_id: str | None = None) -> None:
        self.record = registry.register(run_id or registry.new_run_id())
        self.restarts = 0
        self._closed = False
        self._lock = threading.Lock()
        try:
            self._watchdog = self._start()
        except BaseException:
            registry.forget(self.record)
            raise

    @property
    def label(self) -> Label:
        """What every process of the run must carry."""
        return Label(self.record.run_id, self.record.anchor)

    @property
    def directory(self) -> Path:
        """The run's own temporary directory; removed with everything in it when the run ends."""
        return Path(self.record.directory)

    @property
    def watchdog_pid(self) -> int:
        return self._watchdog.pid

    def check(self) -> str | None:
        """None if the watchdog lives; otherwise another one is started, and the sentence says what happened."""
        with self._lock:
            code = self._watchdog.poll()
            if code is None or self._closed:
                return None
            self._release()
            self._watchdog = self._start()
            self.restarts += 1
            return f"the watchdog had ended with exit code {code}; another one was started"

    def close(self) -> None:
        """Once everything is stopped: ends what was forgotten, removes the run's files, sends the watchdog home."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            survivors = end_run(self.record)
            if not survivors and self._watchdog.poll() is None:
                assert self._watchdog.stdin is not None
                try:
                    self._watchdog.stdin.write(GOODBYE)
                    self._watchdog.stdin.flush()
                    self._watchdog.wait(_GOODBYE_TIMEOUT_S)
                except (OSError, subprocess.TimeoutExpired):
                    self._watchdog.kill()  # it has nothing left to do
            self._release()
        if survivors:
            raise ClusterError(
                f"processes {[info.pid for info in survivors]} of run {self.record.run_id} do not die; "
                "`stress clean` will try again"
            )

    def _start(self) -> subprocess.Popen[bytes]:
        root = str(Path(__file__).resolve().parents[3])
        watchdog = subprocess.Popen(
            [sys.executable, "-m", _WATCHDOG, str(registry.record_path(self.record.run_id))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            # The user's working directory may be unmounted or removed; the run's own is removed by the watchdog.
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))},
            start_new_session=True,
        )
        assert watchdog.stdout is not None
        ready, _, _ = select.select([watchdog.stdout], [], [], _READY_TIMEOUT_S)
        if not ready or not watchdog.stdout.read(1):
            watchdog.kill()
            watchdog.wait()
            raise ClusterError(
                f"the watchdog was not ready after {_READY_TIMEOUT_S:.0f} s (exit code {watchdog.returncode}); "
                f"is `python -m {_WATCHDOG}` runnable on this machine?"
            )
        return watchdog

    def _release(self) -> None:
        for stream in (self._watchdog.stdin, self._watchdog.stdout):
            if stream is not None:
                stream.close()
        try:
            self._watchdog.wait(_GOODBYE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._watchdog.kill()
            self._watchdog.wait()
