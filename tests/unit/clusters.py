"""A cluster that does not exist: only what observers ask of one."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

from stress.cluster.base import Cluster, ClusterSecrets, Component, ComponentEvent, Role


class PaperCluster(Cluster):
    """Two triggerers and a scheduler with logs below `directory`; nothing runs."""

    def __init__(self, directory: Path, address: str = "") -> None:
        self.directory = directory
        self.address = address
        self.shared.mkdir(parents=True)

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def poll(self) -> list[ComponentEvent]:
        raise NotImplementedError

    def kill(self, component: str, sig: signal.Signals) -> None:
        raise NotImplementedError

    def memory_bytes(self) -> Mapping[str, int]:
        raise NotImplementedError

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
        return tuple(Component(name, role, 1, 0, self.log(name)) for name, role in roles.items())

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
