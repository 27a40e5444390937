"""One block's processes on this machine; see the package for the whole."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stress.arms.environments import AirflowEnvironment
from stress.arms.spec import Arm
from stress.cluster.base import (
    Cluster,
    ClusterSecrets,
    ClusterSettings,
    Component,
    ComponentEvent,
    CpuReading,
    EventKind,
)
from stress.cluster.errors import ComponentFailed, FaultImpossible, PostgresError
from stress.cluster.health import api_starting, unhealthy
from stress.cluster.local.environment import block_environment, database_variables
from stress.cluster.local.member import Member
from stress.cluster.local.preload import Parents, place_of
from stress.cluster.local.seats import Seat
from stress.cluster.ports import is_free
from stress.cluster.postgres import Postgres
from stress.cluster.supervision import procfs
from stress.cluster.supervision.guard import RunGuard
from stress.cluster.supervision.processes import Command, kill_trees, spawn, wait_any
from stress.components import Role, components

_RESTART_GRACE_S = 5.0
_HEALTH_INTERVAL_S = 0.1


@dataclass(frozen=True)
class Site:
    """What a prepared runtime gives to the clusters of an arm's blocks."""

    guard: RunGuard
    postgres: Postgres
    parents: Parents | None
    """None with a cold start."""
    secrets: ClusterSecrets
    environment: AirflowEnvironment
    template: str
    """The migrated database that a block's database is a copy of."""


class LocalCluster(Cluster):
    """One block's processes. `on_stop` is called when none of them is left."""

    def __init__(
        self,
        site: Site,
        seat: Seat,
        arm: Arm,
        block: int,
        directory: Path,
        settings: ClusterSettings,
        on_stop: Callable[[LocalCluster], None],
    ) -> None:
        self.seat = seat
        self._site = site
        self._postgres = site.postgres
        self._arm = arm
        self._directory = directory
        self._settings = settings
        self._on_stop = on_stop
        self._database = f"block_{block}"
        self._members: list[Member] = []
        self._events: list[ComponentEvent] = []
        self._stopped = False

    @property
    def api_url(self) -> str:
        return self.seat.api_url

    @property
    def database(self) -> str:
        return self._database

    def dsn(self, application_name: str = "observer") -> str:
        return self._postgres.dsn(self._database, application_name)

    @property
    def components(self) -> tuple[Component, ...]:
        return tuple(member.component() for member in self._members)

    @property
    def shared(self) -> Path:
        return self.seat.shared

    @property
    def postgres_log(self) -> Path:
        return self._postgres.log_directory

    @property
    def secrets(self) -> ClusterSecrets:
        return self._site.secrets

    def start(self) -> None:
        """Start all at the same time: the order makes no difference, because both cores are busy throughout."""
        shutil.rmtree(self.seat.home, ignore_errors=True)
        for directory in (self.seat.home, self.shared, self.shared / "fixes", self._directory):
            directory.mkdir(parents=True, exist_ok=True)
        self._postgres.create_database(self._database, self._site.template)
        if self._settings.deadlock_timeout_ms is not None:
            self._postgres.set_deadlock_timeout(self._database, self._settings.deadlock_timeout_ms)
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
            self._on_stop(self)
        if self._postgres.exit_code() is None and self.seat.home.is_dir():
            self._postgres.drop_database(self._database)
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
                self._events.append(member.ended(member.process, now))
        events, self._events = self._events, []
        return events

    def kill(self, component: str, sig: signal.Signals) -> None:
        process = self._member(component).running(f"sent {sig.name}")
        if sig is signal.SIGKILL:
            # No process of a container survives its first one.
            kill_trees([process])
        else:
            process.send_signal(sig)

    def restart(self, component: str) -> None:
        member = self._member(component)
        ended = member.end(_RESTART_GRACE_S)
        if ended is not None:
            self._events.append(ended)
        member.restarts += 1
        self._launch(member, EventKind.RESTARTED)

    def pause(self, component: str) -> None:
        self._member(component).pause()

    def resume(self, component: str) -> None:
        self._member(component).resume()

    def cut_off(self, component: str) -> None:
        raise FaultImpossible(f"{component} can't be cut off: all processes of the local runtime share one network")

    def slow(self, component: str, delay_ms: float, jitter_ms: float, loss_percent: float) -> None:  # noqa: ARG002
        raise FaultImpossible(f"{component} can't be slowed: all processes of the local runtime share one network")

    def restore_network(self, component: str) -> None:
        """Nothing can have been done to it."""

    def restart_postgres(self) -> None:
        self._postgres.restart()

    def unhealthy(self, since: float) -> frozenset[str]:
        return unhealthy(self.dsn("airflow-stress"), self.api_url, self._roles(), since)

    def memory_bytes(self) -> Mapping[str, int]:
        processes = procfs.table()
        found = {
            member.name: procfs.memory_bytes(member.process.tree(processes))
            for member in self._members
            if member.process is not None
        }
        if self._postgres.process is not None:
            found[Role.POSTGRES.value] = procfs.memory_bytes(self._postgres.process.tree(processes))
        if self._site.parents is not None:
            found["preloaded parents"] = self._site.parents.memory_bytes()
        return found

    def cpu_seconds(self) -> Mapping[str, CpuReading]:
        processes = procfs.table()
        running = {member.name: member.process for member in self._members}
        running[Role.POSTGRES.value] = self._postgres.process
        return {
            name: CpuReading(process.pid, procfs.cpu_seconds(process.tree(processes)))
            for name, process in running.items()
            if process is not None and process.pid in processes
        }

    def _plan(self) -> list[Member]:
        """Every component with its arguments, in the order of their start."""
        settings = self._settings
        address = ("--host", "127.0.0.1", "--port", str(self.seat.api_port))
        return [
            Member(
                spec,
                (*self._program(), *spec.command, *(address if spec.role is Role.API_SERVER else ())),
                self._directory / f"{spec.name}.log",
            )
            for spec in components(settings.schedulers, settings.triggerers, settings.api_workers)
        ]

    def _program(self) -> tuple[str, ...]:
        # A child of a parent has the interpreter already; its first argument is the program, as `sys.argv` has it.
        airflow = str(self._site.environment.airflow)
        return (airflow,) if self._site.parents is not None else (str(self._site.environment.python), airflow)

    def _launch(self, member: Member, kind: EventKind) -> None:
        site, place = self._site, place_of(member.name)
        variables = {
            **block_environment(
                site.environment, site.secrets, self._settings, self._arm, self.seat, member.name, place
            ),
            **database_variables(self._postgres, self._database, member.name),
        }
        command = Command(member.name, member.arguments, variables, member.log_file)
        if site.parents is None:
            process = spawn(command, site.guard.label)
        else:
            process = site.parents.parent(site.environment, variables, place).fork(command)
        self._events.append(member.started(process, kind))

    def _check_foundations(self) -> None:
        """What the components stand on: a watchdog that ended is replaced, a database can't be."""
        guard = self._site.guard
        problem = guard.check()
        if problem is not None:
            self._events.append(
                ComponentEvent(
                    time.time(),
                    "watchdog",
                    Role.WATCHDOG,
                    EventKind.RESTARTED,
                    guard.watchdog_pid,
                    restarts=guard.restarts,
                    detail=problem,
                )
            )
        if self._site.parents is not None:
            self._site.parents.check()
        code = self._postgres.exit_code()
        if code is not None:
            raise PostgresError(
                f"PostgreSQL ended in the middle of a block, with exit code {code}: the block can't be judged"
            )

    def _wait_healthy(self, deadline: float) -> None:
        running = [member.process for member in self._members if member.process is not None]
        missing = self._roles()
        # The database is new, so each row in it is one of ours. A component that was healthy once is not checked again.
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

    def _member(self, component: str) -> Member:
        for member in self._members:
            if member.name == component:
                return member
        raise ComponentFailed(f"there is no component {component} in this block")

    def _describe_failure(self, member: Member, what: str) -> str:
        tail = member.process.log_tail(25) if member.process is not None else ""
        hint = ""
        if member.role is Role.API_SERVER and not is_free(self.seat.api_port):
            hint = f" (port {self.seat.api_port} is taken by another program: try again, another port will be chosen)"
        return f"{member.name} {what}{hint}; the end of {member.log_file}:\n{tail}"
