"""A cluster that does not exist: only what observers ask of one."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

from stress.cluster.base import Cluster, ClusterSecrets, Component, ComponentEvent, CpuReading
from stress.cluster.errors import ClusterError, ComponentFailed
from stress.components import Role


class PaperCluster(Cluster):
    """Two triggerers and a scheduler with logs below `directory`; nothing runs. What faults do to it is in `done`."""

    def __init__(self, directory: Path, address: str = "") -> None:
        self.directory = directory
        self.address = address
        self.shared.mkdir(parents=True)
        self.done: list[tuple[object, ...]] = []
        self.fails: set[str] = set()
        """Primitives that raise."""
        self.too_late: set[str] = set()
        """Primitives whose target has just ended by itself."""
        self.down: set[str] = set()
        """Components without a process."""

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def poll(self) -> list[ComponentEvent]:
        raise NotImplementedError

    def _do(self, what: str, *arguments: object) -> None:
        self.done.append((what, *arguments))
        if what in self.fails:
            raise ClusterError(f"{what} failed")
        if what in self.too_late:
            raise ComponentFailed(f"{what} came too late")

    def kill(self, component: str, sig: signal.Signals) -> None:
        self._do("kill", component, sig)

    def restart(self, component: str) -> None:
        self._do("restart", component)

    def pause(self, component: str) -> None:
        self._do("pause", component)

    def resume(self, component: str) -> None:
        self._do("resume", component)

    def cut_off(self, component: str) -> None:
        self._do("cut_off", component)

    def slow(self, component: str, delay_ms: float, jitter_ms: float, loss_percent: float) -> None:
        self._do("slow", component, delay_ms, jitter_ms, loss_percent)

    def restore_network(self, component: str) -> None:
        self._do("restore_network", component)

    def restart_postgres(self) -> None:
        self._do("restart_postgres")

    def unhealthy(self, since: float) -> frozenset[str]:
        raise NotImplementedError

    def memory_bytes(self) -> Mapping[str, int]:
        raise NotImplementedError

    def cpu_seconds(self) -> Mapping[str, CpuReading]:
        return {}

    @property
    def api_url(self) -> str:
        raise NotImplementedError

    @property
    def database(self) -> str:
        return "block_0"

    def dsn(self, application_name: str = "observer") -> str:
        return f"{self.address}?application_name={application_name}"

    @property
    def components(self) -> tuple[Component, ...]:
        roles = {"triggerer-1": Role.TRIGGERER, "triggerer-2": Role.TRIGGERER, "scheduler-1": Role.SCHEDULER}
        return tuple(
            Component(name, role, None if name in self.down else 1, 0, self.log(name)) for name, role in roles.items()
        )

    @property
    def shared(self) -> Path:
        return self.directory / "shared"

    @property
    def postgres_log(self) -> Path:
        return self.directory / "postgresql.json"

    @property
    def secrets(self) -> ClusterSecrets:
        raise NotImplementedError

    def log(self, component: str) -> Path:
        """A component's log."""
        return self.directory / f"{component}.log"

    def leave(self, name: str, *lines: str) -> None:
        """Append lines to a file in the shared directory."""
        path = self.shared / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
