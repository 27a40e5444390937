"""One block's processes on this machine; see the package for the whole."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stress.arms.environments import AirflowEnvironment
from stress.arms.spec import Arm
from stress.cluster import procfs
from stress.cluster.airflow import component_variables
from stress.cluster.base import (
    Cluster,
    ClusterSecrets,
    ClusterSettings,
    Component,
    ComponentEvent,
    CpuReading,
    EventKind,
    Role,
)
from stress.cluster.errors import ComponentFailed, FaultImpossible, PostgresError
from stress.cluster.health import api_starting, unhealthy
from stress.cluster.local.environment import base_environment, database_variables
from stress.cluster.ports import is_free
from stress.cluster.processes import Command, Process, kill_trees, spawn, stop_all, wait_any

if TYPE_CHECKING:
    from stress.cluster.local.runtime import LocalRuntime

_RESTART_GRACE_S = 5.0
_PAUSE_TIMEOUT_S = 5.0
_HEALTH_INTERVAL_S = 0.1
_FORGIVEN_AFTER_S = 60.0
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 10.0


@dataclass
class Seat:
    """What blocks that run one after another share, so that a preloaded parent's environment stays right: a home
    directory and ports. Each block finds the home empty."""

    home: Path
    api_port: int
    service_ports: tuple[int, ...]
    taken: bool = False

    @property
    def shared(self) -> Path:
        """The directory that components and harness share."""
        return self.home / "shared"

    @property
    def api_url(self) -> str:
        """The api-server's address."""
        return f"http://127.0.0.1:{self.api_port}"


@dataclass
class _Member:
    """A component and its process over time."""

    name: str
    role: Role
    arguments: tuple[str, ...]
    log_file: Path
    process: Process | None = None
    restarts: int = 0
    quick_ends: int = 0
    due: float = 0.0
    """When it is to be started again (monotonic), while it is down."""
    paused: list[procfs.ProcessInfo] = field(default_factory=list)
    """The processes that `pause` stopped."""


class LocalCluster(Cluster):
    """One block's processes."""

    def __init__(
        self,
        runtime: LocalRuntime,
        arm: Arm,
        block: int,
        directory: Path,
        settings: ClusterSettings,
        *,
        template: str,
        cluster_secrets: ClusterSecrets,
        seat: Seat,
    ) -> None:
        self._runtime = runtime
        self._arm = arm
        self._environment = runtime.environment(arm)
        self._directory = directory
        self._settings = settings
        self._template = template
        self._secrets = cluster_secrets
        self._database = f"block_{block}"
        self.seat = seat
        self._members: list[_Member] = []
        self._events: list[ComponentEvent] = []
        self._stopped = False

    @property
    def api_url(self) -> str:
        return self.seat.api_url

    @property
    def database(self) -> str:
        return self._database

    def dsn(self, application_name: str = "observer") -> str:
        return self._runtime.postgres.dsn(self._database, application_name)

    @property
    def components(self) -> tuple[Component, ...]:
        return tuple(
            Component(
                member.name,
                member.role,
                member.process.pid if member.process is not None else None,
                member.restarts,
                member.log_file,
            )
            for member in self._members
        )

    @property
    def shared(self) -> Path:
        return self.seat.shared

    @property
    def postgres_log(self) -> Path:
        return self._runtime.postgres.log_directory

    @property
    def secrets(self) -> ClusterSecrets:
        return self._secrets

    def start(self) -> None:
        """Everything at once: two cores are busy from the first moment to the last, whatever the order."""
        shutil.rmtree(self.seat.home, ignore_errors=True)
        for directory in (self.seat.home, self.shared, self.shared / "fixes", self._directory):
            directory.mkdir(parents=True, exist_ok=True)
        self._runtime.postgres.create_database(self._database, self._template)
        if self._settings.deadlock_timeout_ms is not None:
            self._runtime.postgres.set_deadlock_timeout(self._database, self._settings.deadlock_timeout_ms)
        self._members = self._plan()
        began = time.monotonic()
        for member in self._members:
            self._launch(member, EventKind.STARTED)
        self._wait_healthy(began + self._settings.start_timeout_s)

    def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        running = [member.process for member in self._members if member.process is not None]
        try:
            # The observers have looked for the last time, and the database is dropped: nothing is worth a grace period.
            kill_trees(running)
        finally:
            for member in self._members:
                member.process = None
            self._runtime.forget(self)
        if self._runtime.postgres.exit_code() is None and self.seat.home.is_dir():
            self._runtime.postgres.drop_database(self._database)
        shutil.rmtree(self.seat.home, ignore_errors=True)

    def poll(self) -> list[ComponentEvent]:
        self._check_foundations()
        now = time.monotonic()
        for member in self._members:
            if member.process is None:
                if now >= member.due:
                    member.restarts += 1
                    self._launch(member, EventKind.RESTARTED)
            elif member.process.exit_code() is not None:
                self._note_exit(member, member.process, now)
        events, self._events = self._events, []
        return events

    def kill(self, component: str, sig: signal.Signals) -> None:
        process = self._running(component, f"sent {sig.name}")
        if sig is signal.SIGKILL:
            # Nobody of a container survives its first process.
            kill_trees([process])
        else:
            process.send_signal(sig)

    def restart(self, component: str) -> None:
        member = self._member(component)
        if member.process is not None:
            process = member.process
            _let_go_on(member)
            stop_all([process], grace_s=_RESTART_GRACE_S)
            self._note_exit(member, process, time.monotonic())
            member.quick_ends = 0  # it did not end by itself
        member.restarts += 1
        self._launch(member, EventKind.RESTARTED)

    def pause(self, component: str) -> None:
        process = self._running(component, "paused")
        member = self._member(component)
        deadline = time.monotonic() + _PAUSE_TIMEOUT_S
        # Whoever is not stopped yet may have started another one since we looked.
        while True:
            processes = procfs.table()
            awake = [
                info for pid in process.tree(processes) if not (info := processes[pid]).is_zombie and info.state != "T"
            ]
            if not awake:
                return
            if time.monotonic() > deadline:
                raise ComponentFailed(
                    f"{component} can't be paused: processes {sorted(info.pid for info in awake)} went on for "
                    f"{_PAUSE_TIMEOUT_S:.0f} s after SIGSTOP"
                )
            member.paused.extend(info for info in awake if info not in member.paused)
            for info in awake:
                procfs.kill(info, signal.SIGSTOP)

    def resume(self, component: str) -> None:
        _let_go_on(self._member(component))

    def cut_off(self, component: str) -> None:
        raise FaultImpossible(f"{component} can't be cut off: all processes of the local runtime share one network")

    def slow(self, component: str, delay_ms: float, jitter_ms: float, loss_percent: float) -> None:  # noqa: ARG002
        raise FaultImpossible(f"{component} can't be slowed: all processes of the local runtime share one network")

    def restore_network(self, component: str) -> None:
        """Nothing can have been done to it."""

    def restart_postgres(self) -> None:
        self._runtime.postgres.restart()

    def unhealthy(self, since: float) -> frozenset[str]:
        return unhealthy(self.dsn("airflow-stress"), self.api_url, self._roles(), since)

    def memory_bytes(self) -> Mapping[str, int]:
        processes = procfs.table()
        found = {
            member.name: procfs.memory_bytes(member.process.tree(processes))
            for member in self._members
            if member.process is not None
        }
        if self._runtime.postgres.process is not None:
            found[Role.POSTGRES.value] = procfs.memory_bytes(self._runtime.postgres.process.tree(processes))
        if self._runtime.parents is not None:
            found["preloaded parents"] = self._runtime.parents.memory_bytes()
        return found

    def cpu_seconds(self) -> Mapping[str, CpuReading]:
        processes = procfs.table()
        running = {member.name: member.process for member in self._members}
        running[Role.POSTGRES.value] = self._runtime.postgres.process
        return {
            name: CpuReading(process.pid, procfs.cpu_seconds(process.tree(processes)))
            for name, process in running.items()
            if process is not None and process.pid in processes
        }

    def _plan(self) -> list[_Member]:
        """Every component with its arguments. The api-server first: it imports the most."""
        settings = self._settings
        web = (
            "api-server",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.seat.api_port),
            "--workers",
            str(settings.api_workers),
        )
        wanted: list[tuple[str, Role, tuple[str, ...]]] = [("api-server", Role.API_SERVER, web)]
        numbers = range(1, settings.schedulers + 1)
        wanted += [(f"scheduler-{number}", Role.SCHEDULER, ("scheduler", "--skip-serve-logs")) for number in numbers]
        wanted.append(("dag-processor", Role.DAG_PROCESSOR, ("dag-processor",)))
        numbers = range(1, settings.triggerers + 1)
        wanted += [(f"triggerer-{number}", Role.TRIGGERER, ("triggerer", "--skip-serve-logs")) for number in numbers]
        return [
            _Member(
                name,
                role,
                (*self._program(), *arguments),
                self._directory / f"{name}.log",
            )
            for name, role, arguments in wanted
        ]

    def _program(self) -> tuple[str, ...]:
        # A child of a parent has the interpreter already; its first argument is the program, as `sys.argv` has it.
        airflow = str(self._environment.airflow)
        return (airflow,) if self._runtime.parents is not None else (str(self._environment.python), airflow)

    def _launch(self, member: _Member, kind: EventKind) -> None:
        variables = variables_of(
            self._environment, self._secrets, self._settings, self._arm, self.seat, member.name, place_of(member.name)
        ) | database_variables(self._runtime.postgres, self._database, member.name)
        command = Command(member.name, member.arguments, variables, member.log_file)
        if self._runtime.parents is None:
            member.process = spawn(command, self._runtime.label)
        else:
            parent = self._runtime.parents.parent(self._environment, variables, place_of(member.name))
            member.process = parent.fork(command)
        member.paused.clear()
        self._events.append(
            ComponentEvent(time.time(), member.name, member.role, kind, member.process.pid, restarts=member.restarts)
        )

    def _note_exit(self, member: _Member, process: Process, now: float) -> None:
        stop_all([process], grace_s=0)
        lived_s = now - process.started_at
        member.quick_ends = 0 if lived_s > _FORGIVEN_AFTER_S else member.quick_ends + 1
        member.due = now + min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** max(0, member.quick_ends - 1))
        member.process = None
        self._events.append(
            ComponentEvent(
                time.time(),
                member.name,
                member.role,
                EventKind.EXITED,
                process.pid,
                exit_code=process.exit_code(),
                restarts=member.restarts,
                detail=f"after {lived_s:.1f} s",
            )
        )

    def _check_foundations(self) -> None:
        """What the components stand on: the watchdog is renewed, the database can't be."""
        problem = self._runtime.guard.check()
        if problem is not None:
            self._events.append(
                ComponentEvent(
                    time.time(),
                    "watchdog",
                    Role.WATCHDOG,
                    EventKind.RESTARTED,
                    self._runtime.guard.watchdog_pid,
                    restarts=self._runtime.guard.restarts,
                    detail=problem,
                )
            )
        if self._runtime.parents is not None:
            self._runtime.parents.check()
        code = self._runtime.postgres.exit_code()
        if code is not None:
            raise PostgresError(
                f"PostgreSQL ended in the middle of a block, with exit code {code}: the block can't be judged"
            )

    def _wait_healthy(self, deadline: float) -> None:
        running = [member.process for member in self._members if member.process is not None]
        missing = self._roles()
        # The database is new: whoever has a row in it is one of ours, and who was healthy once is not asked again.
        starting = partial(api_starting, self._directory / f"{Role.API_SERVER}.log", self._settings.api_workers)
        while silent := unhealthy(self.dsn("airflow-stress"), self.api_url, missing, since=0.0) | starting():
            missing = {name: role for name, role in missing.items() if name in silent}
            self._check_foundations()
            # Ends at once if a component does: during a start that is a failure, not something to restart.
            wait_any(running, _HEALTH_INTERVAL_S)
            for member in self._members:
                assert member.process is not None
                code = member.process.exit_code()
                if code is not None:
                    raise ComponentFailed(self._describe_failure(member, f"ended with exit code {code} at its start"))
            if time.monotonic() > deadline:
                member = next(member for member in self._members if member.name in missing)
                raise ComponentFailed(
                    self._describe_failure(
                        member,
                        f"was not healthy after {self._settings.start_timeout_s:.0f} s "
                        f"(not healthy: {', '.join(sorted(missing))})",
                    )
                )

    def _roles(self) -> dict[str, Role]:
        return {member.name: member.role for member in self._members}

    def _member(self, component: str) -> _Member:
        return next(member for member in self._members if member.name == component)

    def _running(self, component: str, what: str) -> Process:
        """The process of a component that must run now."""
        process = next((member.process for member in self._members if member.name == component), None)
        if process is None:
            raise ComponentFailed(f"{component} is not running, so it can't be {what}")
        return process

    def _describe_failure(self, member: _Member, what: str) -> str:
        tail = member.process.log_tail(25) if member.process is not None else ""
        hint = ""
        if member.role is Role.API_SERVER and not is_free(self.seat.api_port):
            hint = f" (port {self.seat.api_port} is taken by another program: try again, another port will be chosen)"
        return f"{member.name} {what}{hint}; the end of {member.log_file}:\n{tail}"


def _let_go_on(member: _Member) -> None:
    """Undo `pause`, to exactly those that it stopped and that are still there."""
    while member.paused:
        procfs.kill(member.paused.pop(), signal.SIGCONT)


def place_of(component: str) -> int:
    """Which of the arm's parents forks a component: peers of a kind come from different ones."""
    kind, _, number = component.rpartition("-")
    if kind in (Role.SCHEDULER.value, Role.TRIGGERER.value):
        return int(number) - 1
    return 0 if component == Role.API_SERVER.value else 1


def variables_of(
    environment: AirflowEnvironment,
    cluster_secrets: ClusterSecrets,
    settings: ClusterSettings,
    arm: Arm,
    seat: Seat,
    component: str,
    place: int,
) -> dict[str, str]:
    """A component's environment but for the database. Components of one place differ in their names alone."""
    # Processes on one machine share its ports: peers get different ones, also for servers that an arm may turn on.
    health, worker_logs, trigger_logs = seat.service_ports[3 * place : 3 * place + 3]
    defaults = {
        "scheduler.scheduler_health_check_server_port": str(health),
        "scheduler.scheduler_health_check_server_host": "127.0.0.1",
        "logging.worker_log_server_port": str(worker_logs),
        "logging.trigger_log_server_port": str(trigger_logs),
    }
    return {
        **base_environment(environment, seat.home, cluster_secrets),
        **component_variables(settings, arm, component, seat.api_url, seat.shared, defaults, environment.overlay),
    }
