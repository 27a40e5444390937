"""Starts the processes of a run and ends them, so that nothing is left.

Each one gets its own session (a Ctrl-C on the terminal is for the harness, which then ends the rest in order), a
log file for both of its streams, the run's label in its environment and the run's anchor as working directory (see
`procfs`: by these two the watchdog finds it when the harness is dead).

Waiting is done on pidfds: the kernel reports the end of a process, without polling.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stress.cluster.errors import ClusterError, StillAlive
from stress.cluster.supervision import procfs

_KILLED_TIMEOUT_S = 5.0
_TAIL_BYTES = 8192


@dataclass(frozen=True)
class Label:
    """What every process of a run carries."""

    run_id: str
    anchor: Path


@dataclass(frozen=True)
class Command:
    """What to start. `environment` is the whole of it: nothing is inherited unless the caller put it in."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log_file: Path
    user: int | None = None
    group: int | None = None
    working_directory: Path | None = None
    """Instead of the anchor; only for PostgreSQL, which changes to its data directory anyway."""


class Child(Protocol):
    """The source of a process's exit code: `Popen` for our own children, or the parent that forked it for us."""

    pid: int

    def poll(self) -> int | None:
        """The exit code, or None while the process runs."""


@dataclass
class Process:
    """A started process. Ends by itself or by `stop_all`. `handle` is its pidfd, -1 after the end was seen."""

    command: Command
    child: Child
    handle: int
    started: int
    """Start time in clock ticks, as /proc tells it: with the id, it names the process for good."""
    started_at: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def name(self) -> str:
        return self.command.name

    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        code = self.child.poll()
        if code is not None:
            self._close()
        return code

    def send_signal(self, sig: signal.Signals) -> None:
        """Send a signal to exactly this process; nothing happens if it has ended."""
        if self.exit_code() is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.handle, sig)

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code, or None if it still runs after that time."""
        if self.handle >= 0:
            wait_any([self], timeout_s)
        return self.exit_code()

    def tree(self, processes: Mapping[int, procfs.ProcessInfo] | None = None) -> set[int]:
        """The process, its descendants, and all others in its session (descendants whose parent has died)."""
        processes = procfs.table() if processes is None else processes
        leader = processes.get(self.pid)
        if leader is not None and leader.started != self.started:
            return set()  # ours is long gone with its session, and another process has the id
        session = {info.pid for info in processes.values() if info.session == self.pid}
        return procfs.descendants({self.pid} | session, processes)

    def log_tail(self, lines: int = 15) -> str:
        """The end of its log, for an error message."""
        try:
            with self.command.log_file.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = log.read().decode("utf-8", "replace")
        except OSError as error:
            return f"(its log can't be read: {error})"
        return "\n".join(text.splitlines()[-lines:]) or "(its log is empty)"

    def _close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


def spawn(command: Command, label: Label, stdin: int = subprocess.DEVNULL) -> Process:
    """Start a process. `stdin` is a descriptor for its standard input."""
    environment = {**command.environment, procfs.LABEL: label.run_id}
    command.log_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with command.log_file.open("ab") as log:
            popen = subprocess.Popen(
                list(command.arguments),
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=command.working_directory or label.anchor,
                start_new_session=True,
                user=command.user,
                group=command.group,
                extra_groups=[] if command.user is not None else None,
            )
    except OSError as error:
        raise ClusterError(f"{command.name} could not be started ({command.arguments[0]}): {error}") from error
    info = procfs.read(popen.pid)  # a zombie at worst: only this process reaps it
    return Process(command, popen, os.pidfd_open(popen.pid), info.started if info else 0)


def wait_any(processes: Iterable[Process], timeout_s: float) -> bool:
    """Sleep until one of the processes has ended, at most that long. True if one has."""
    poller = select.poll()
    waiting = False
    for process in processes:
        if process.exit_code() is not None:
            return True
        poller.register(process.handle, select.POLLIN)
        waiting = True
    if not waiting:
        return False
    return bool(poller.poll(max(0.0, timeout_s) * 1000))


def stop_all(
    processes: Sequence[Process], grace_s: float, sig: signal.Signals = signal.SIGTERM, linger_s: float = 0.0
) -> None:
    """End the processes with all their descendants: ask, wait together, then kill. Raises if one survives that.

    `linger_s`: how long descendants may stay on after their process has ended by itself.
    """
    before = procfs.table()
    known = {pid: before[pid] for process in processes for pid in process.tree(before)}
    for process in processes:
        process.send_signal(sig)
    deadline = time.monotonic() + grace_s
    while (left := [process for process in processes if process.exit_code() is None]) and time.monotonic() < deadline:
        wait_any(left, deadline - time.monotonic())
    if not left:
        deadline = time.monotonic() + linger_s
        while time.monotonic() < deadline and any(procfs.is_same(info.pid, info.started) for info in known.values()):
            time.sleep(0.02)
    kill_trees(processes, known)


def kill_trees(processes: Sequence[Process], known: Mapping[int, procfs.ProcessInfo] | None = None) -> None:
    """SIGKILL to all that is left of the processes' trees, until nothing is. `known`: members seen before."""
    seen = dict(known or {})
    deadline = time.monotonic() + _KILLED_TIMEOUT_S
    while True:
        now = procfs.table()
        for process in processes:
            process.exit_code()
            seen.update({pid: now[pid] for pid in process.tree(now)})
        alive = [
            info
            for info in seen.values()
            if (same := now.get(info.pid)) and same.started == info.started and not same.is_zombie
        ]
        if not alive:
            break
        if time.monotonic() > deadline:
            raise StillAlive(
                f"processes {sorted(info.pid for info in alive)} of {', '.join(p.name for p in processes)} did not die "
                f"within {_KILLED_TIMEOUT_S:.0f} s of SIGKILL; end them by hand, then run `stress clean`"
            )
        for info in alive:
            procfs.kill(info)
        time.sleep(0.05)
    for process in processes:
        process.wait(_KILLED_TIMEOUT_S)
