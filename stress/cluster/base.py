"""Where a run happens, as scenarios, observers and checkers see it: they never know which kind of place it is.

A **runtime** lives as long as the run: it makes what all blocks share (environments, a PostgreSQL server, migrated
template databases) and ends it. A **cluster** lives as long as a block: a fresh database and an Airflow on it.

    with runtime:                               # close() also after a preparation that failed half-way
        prepared = runtime.prepare(arms)
        for each block:
            cluster = prepared.open(arm, number, directory, settings)
            try:
                cluster.start()                 # returns when every component is healthy
                while ...: cluster.poll()       # about once a second: restarts what died, and tells
            finally:
                cluster.stop()                  # the database is thrown away; logs stay in `directory`

A component that ends is started again, as a container's restart policy would, and counted; it is the checkers' business
whether that is an incident. PostgreSQL is not restarted unless a fault asks for it (`restart_postgres`): a block that
lost its database has no history to judge, so `poll` raises.

Faults (`stress/faults/`) are made of the primitives `kill`, `restart`, `pause`, ...; each undo may be called at any
time, also after the component has been started anew.
"""

from __future__ import annotations

import base64
import secrets
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from stress.arms.spec import Arm
from stress.cluster.supervision.processes import Label
from stress.components import Role
from stress.results import SettingDifference

Progress = Callable[[str], None]


def silent(line: str) -> None:
    """A progress callback that does nothing."""


class EventKind(StrEnum):
    """What happened to a component."""

    STARTED = "started"
    EXITED = "exited"
    RESTARTED = "restarted"


@dataclass(frozen=True)
class ComponentEvent:
    """Something that happened to a component. `at` is Unix time; `exit_code` is negative for a signal."""

    at: float
    component: str
    role: Role
    kind: EventKind
    pid: int
    exit_code: int | None = None
    restarts: int = 0
    detail: str = ""
    out_of_memory: bool = False


@dataclass(frozen=True)
class Component:
    """One component as it is now. `pid` is None while it is down."""

    name: str
    role: Role
    pid: int | None
    restarts: int
    log_file: Path


@dataclass(frozen=True)
class CpuReading:
    """CPU seconds of one life of a component; `life` distinguishes it from its predecessor, 0 where that is unknown."""

    life: int
    seconds: float


@dataclass(frozen=True)
class ClusterSettings:
    """What a block wants from its cluster, beyond what the arm says.

    The arm's own config overrides win over `config`, and that over the runtime's defaults.
    """

    dags_folder: Path | None = None
    executor: str = "LocalExecutor"
    """Airflow's `core.executor`: the hollow workers' class path, or LocalExecutor for real tasks."""
    config: Mapping[str, str] = field(default_factory=dict)
    """`section.key` to value."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further variables for every component."""
    fixes_directory: Path | None = None
    """What mounts the fixes; goes first on PYTHONPATH."""
    dag_files_left_out: Sequence[str] = ()
    """Files of the DAGs' folder, without `.py`, that the dag-processor does not read."""
    schedulers: int = 2
    triggerers: int = 2
    api_workers: int = 1
    """Processes of the api-server."""
    deadlock_timeout_ms: int | None = None
    """Another than the server's, for this block."""
    start_timeout_s: float = 120.0


class Cluster(ABC):
    """One block's Airflow."""

    @abstractmethod
    def start(self) -> None:
        """Start every component and wait until all are healthy. Bounded; its error names the component."""

    @abstractmethod
    def stop(self) -> None:
        """End every component and drop the database. May be called at any time, and twice."""

    @abstractmethod
    def poll(self) -> list[ComponentEvent]:
        """What happened since the last call; starts again what has ended. Never waits."""

    @abstractmethod
    def kill(self, component: str, sig: signal.Signals) -> None:
        """Send a signal to a component's main process."""

    @abstractmethod
    def restart(self, component: str) -> None:
        """Ask a component to end, with a few seconds' grace, and start it again at once."""

    @abstractmethod
    def pause(self, component: str) -> None:
        """Stop a component with all its processes where they are, as a frozen machine would."""

    @abstractmethod
    def resume(self, component: str) -> None:
        """Undo `pause`. Does nothing for a component that is not paused, or has been started anew since."""

    @abstractmethod
    def cut_off(self, component: str) -> None:
        """Lose everything that goes between a component and the database. Raises FaultImpossible without networks."""

    @abstractmethod
    def slow(self, component: str, delay_ms: float, jitter_ms: float, loss_percent: float) -> None:
        """Delay and lose what a component sends. Raises FaultImpossible without networks."""

    @abstractmethod
    def restore_network(self, component: str) -> None:
        """Undo `cut_off` and `slow`. Does nothing for a network that nothing was done to."""

    @abstractmethod
    def restart_postgres(self) -> None:
        """End the database server (sessions are aborted), start it again, and wait until it answers."""

    @abstractmethod
    def unhealthy(self, since: float) -> frozenset[str]:
        """The components that have given no sign of life since that time (Unix): by their heartbeats in the database,
        the api-server by its answer. All of them while the database can't be asked."""

    @abstractmethod
    def memory_bytes(self) -> Mapping[str, int]:
        """The memory of each component with all its processes, PostgreSQL included; shared pages counted once."""

    @abstractmethod
    def cpu_seconds(self) -> Mapping[str, CpuReading]:
        """The CPU time of each component that runs, with all its processes and those they have reaped, PostgreSQL
        (`postgres`) included."""

    @property
    @abstractmethod
    def api_url(self) -> str:
        """Where the api-server is: `http://127.0.0.1:PORT`."""

    @property
    @abstractmethod
    def database(self) -> str:
        """The name of the block's database."""

    @abstractmethod
    def dsn(self, application_name: str = "observer") -> str:
        """The database's address for psycopg. A name other than a component's, so that we never take us for Airflow."""

    @property
    @abstractmethod
    def components(self) -> tuple[Component, ...]:
        """Airflow's components."""

    @property
    @abstractmethod
    def shared(self) -> Path:
        """A directory that the harness and every component see: receipts, the fixes' reports, control files."""

    @property
    @abstractmethod
    def postgres_log(self) -> Path:
        """The server's JSON log. One file for all blocks of a run: a block's part begins where it was at its start."""

    @property
    @abstractmethod
    def secrets(self) -> ClusterSecrets:
        """What is needed to talk to the cluster as one of its components."""


@dataclass(frozen=True, repr=False)
class ClusterSecrets:
    """Made anew for each run. No `repr`: they must not get into a log by accident."""

    jwt_secret: str
    api_secret_key: str
    fernet_key: str

    @classmethod
    def make(cls) -> ClusterSecrets:
        """New ones."""
        return cls(
            # HS512 asks for at least as many bytes as its hash has.
            jwt_secret=secrets.token_urlsafe(64),
            api_secret_key=secrets.token_urlsafe(32),
            fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        )


class PreparedRuntime(ABC):
    """What all blocks of a run share, as `Runtime.prepare` made it."""

    @property
    @abstractmethod
    def label(self) -> Label:
        """For the run's other processes (the load generator): start them with `processes.spawn` and this."""

    @abstractmethod
    def facts(self) -> Mapping[str, str]:
        """What the run stands on, for the manifest: the server's version and the like."""

    def differences(self, arms: Sequence[Arm], settings: ClusterSettings) -> Sequence[SettingDifference]:
        """The settings of the runtime's clusters that are not the defaults, for the report."""
        del arms, settings
        return ()

    @abstractmethod
    def open(self, arm: Arm, block: int, directory: Path, settings: ClusterSettings) -> Cluster:
        """A cluster for one block of an arm that was prepared, not started yet. Its logs go to `directory`.

        Raises ClusterError for another arm.
        """


class Runtime(ABC):
    """A place for a run. It owns what it started, also when its preparation fails."""

    name: str

    @abstractmethod
    def prepare(self, arms: Sequence[Arm], progress: Progress = silent) -> PreparedRuntime:
        """Make the arms' environments and a migrated template database for each. Call it once."""

    @abstractmethod
    def close(self) -> None:
        """End everything the run started, and every cluster. May be called at any time, and twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
