"""A component of the compose runtime and its container over time, and what the engine measures of a container."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound
from docker.models.containers import Container

from stress.cluster.base import Component, ComponentEvent, EventKind
from stress.cluster.compose.logs import LogFollower
from stress.cluster.compose.watch import EngineEvent
from stress.components import ComponentSpec, Role


@dataclass
class Member:
    """One component of a block. `container` exists for the whole block; the engine restarts its process."""

    spec: ComponentSpec
    container: Container
    log_file: Path
    log: LogFollower | None = None
    pid: int | None = None
    """None while it is down."""
    restarts: int = -1
    """Starts but for the first."""
    out_of_memory: bool = False
    started_at: float = 0.0
    """Unix time."""

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
        return Component(self.name, self.role, self.pid, max(0, self.restarts), self.log_file)

    def take(self, event: EngineEvent) -> ComponentEvent | None:
        """Take an event of the engine about the container; the component's event, if it is one."""
        if event.action == "start":
            return self._started(event)
        if event.action == "die":
            return self._ended(event)
        self.out_of_memory = self.out_of_memory or event.action == "oom"
        return None

    def _started(self, event: EngineEvent) -> ComponentEvent:
        self.restarts += 1
        self.started_at = event.at
        self.container.reload()
        self.pid = int(self.container.attrs["State"]["Pid"]) or None
        kind = EventKind.RESTARTED if self.restarts else EventKind.STARTED
        return ComponentEvent(event.at, self.name, self.role, kind, self.pid or 0, restarts=self.restarts)

    def _ended(self, event: EngineEvent) -> ComponentEvent:
        exited = ComponentEvent(
            event.at,
            self.name,
            self.role,
            EventKind.EXITED,
            self.pid or 0,
            exit_code=event.exit_code,
            restarts=self.restarts,
            detail=f"after {event.at - self.started_at:.1f} s",
            out_of_memory=self.out_of_memory,
        )
        self.pid = None
        self.out_of_memory = False
        return exited


def end(container: Container) -> None:
    """SIGKILL, after which the restart policy does nothing. A container that has ended, or is gone, is left alone."""
    try:
        container.kill()
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 409:  # it isn't running
            raise


def cpu_seconds(container: Container) -> float | None:
    """The CPU time of a container since its start, None if it is not there."""
    total_ns = _stats(container).get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage")
    return None if total_ns is None else total_ns / 1e9


def memory_bytes(container: Container) -> int:
    """The memory of a container without the page cache that could be dropped at once, 0 if it is not there."""
    memory = _stats(container).get("memory_stats", {})
    details: dict[str, int] = memory.get("stats", {})
    # The first is the name in cgroup v2, the second in v1.
    cache = details.get("inactive_file", details.get("total_inactive_file", 0))
    return max(0, int(memory.get("usage", 0)) - cache)


def _stats(container: Container) -> dict[str, Any]:
    try:
        stats: Any = container.stats(stream=False, one_shot=True)
    except (APIError, NotFound):
        return {}
    found: dict[str, Any] = stats
    return found
