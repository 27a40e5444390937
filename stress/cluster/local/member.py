"""A component of the local runtime and its process over time: starts, ends, the back-off between them, pauses."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from stress.cluster.base import Component, ComponentEvent, EventKind
from stress.cluster.errors import ComponentFailed
from stress.cluster.supervision import procfs
from stress.cluster.supervision.processes import Process, stop_all
from stress.components import ComponentSpec, Role

_PAUSE_TIMEOUT_S = 5.0
_FORGIVEN_AFTER_S = 60.0
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 10.0


@dataclass
class Member:
    """One component of a block."""

    spec: ComponentSpec
    arguments: tuple[str, ...]
    log_file: Path
    process: Process | None = None
    """None while it is down."""
    restarts: int = 0
    due: float = 0.0
    """When it is to be started again (monotonic), while it is down."""
    _quick_ends: int = 0
    _paused: list[procfs.ProcessInfo] = field(default_factory=list)
    """The processes that `pause` stopped."""

    @property
    def name(self) -> str:
        """The component's name."""
        return self.spec.name

    @property
    def role(self) -> Role:
        """The component's role."""
        return self.spec.role

    def component(self) -> Component:
        """The component as it is now."""
        pid = self.process.pid if self.process is not None else None
        return Component(self.name, self.role, pid, self.restarts, self.log_file)

    def running(self, what: str) -> Process:
        """Its process. Raises ComponentFailed while it is down: it can't be `what`."""
        if self.process is None:
            raise ComponentFailed(f"{self.name} is not running, so it can't be {what}")
        return self.process

    def started(self, process: Process, kind: EventKind) -> ComponentEvent:
        """Its process from now on."""
        self.process = process
        self._paused.clear()
        return ComponentEvent(time.time(), self.name, self.role, kind, process.pid, restarts=self.restarts)

    def ended(self, process: Process, now: float) -> ComponentEvent:
        """Its process has ended: kill what the process left in its session, and set when the next start is due."""
        stop_all([process], grace_s=0)
        lived_s = now - process.started_at
        self._quick_ends = 0 if lived_s > _FORGIVEN_AFTER_S else self._quick_ends + 1
        self.due = now + min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** max(0, self._quick_ends - 1))
        self.process = None
        return ComponentEvent(
            time.time(),
            self.name,
            self.role,
            EventKind.EXITED,
            process.pid,
            exit_code=process.exit_code(),
            restarts=self.restarts,
            detail=f"after {lived_s:.1f} s",
        )

    def end(self, grace_s: float) -> ComponentEvent | None:
        """Ask its process to end, and kill it after `grace_s`; None if it is down. This end does not count as quick."""
        if self.process is None:
            return None
        process = self.process
        self.resume()
        stop_all([process], grace_s=grace_s)
        event = self.ended(process, time.monotonic())
        self._quick_ends = 0
        return event

    def pause(self) -> None:
        """Stop all of its processes. Raises ComponentFailed if it is down, or if one does not stop."""
        process = self.running("paused")
        deadline = time.monotonic() + _PAUSE_TIMEOUT_S
        # A process that is not stopped yet may have started another one since the last look.
        while True:
            processes = procfs.table()
            awake = [
                info for pid in process.tree(processes) if not (info := processes[pid]).is_zombie and info.state != "T"
            ]
            if not awake:
                return
            if time.monotonic() > deadline:
                raise ComponentFailed(
                    f"{self.name} can't be paused: processes {sorted(info.pid for info in awake)} went on for "
                    f"{_PAUSE_TIMEOUT_S:.0f} s after SIGSTOP"
                )
            self._paused.extend(info for info in awake if info not in self._paused)
            for info in awake:
                procfs.kill(info, signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`, for exactly those processes that it stopped and that still exist."""
        while self._paused:
            procfs.kill(self._paused.pop(), signal.SIGCONT)
