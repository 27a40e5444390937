"""One block's containers: each component after its service's pattern, with the arm's environment and image.

Restarts are the engine's, by the restart policy in docker-compose.yml, with its own back-off. What it did is known from
its events, not by polling: a component that ended and started again between two polls is still reported.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg
from docker.errors import APIError, NotFound

from stress.arms.spec import Arm
from stress.cluster.airflow import component_variables
from stress.cluster.base import (
    Cluster,
    ClusterSecrets,
    ClusterSettings,
    Component,
    ComponentEvent,
    CpuReading,
    EventKind,
)
from stress.cluster.compose.engine import EngineError, explain, explain_for, remove
from stress.cluster.compose.logs import LogFollower
from stress.cluster.compose.member import Member, cpu_seconds, end, memory_bytes
from stress.cluster.compose.network import Network
from stress.cluster.compose.project import Project
from stress.cluster.compose.service import POSTGRES
from stress.cluster.compose.watch import EngineEvent, Watch
from stress.cluster.errors import ComponentFailed, PostgresError
from stress.cluster.health import api_starting, unhealthy
from stress.cluster.server import DatabaseServer
from stress.components import Role, components

SHARED = Path("/airflow-stress/shared")
POSTGRES_LOG = Path("/airflow-stress/postgres-log")
API_URL = "http://api-server:8080"
_HEALTH_INTERVAL_S = 0.2
_RESTART_GRACE_S = 5
_LOG_END_TIMEOUT_S = 10.0
_POSTGRES_TIMEOUT_S = 30.0
_TAIL_LINES = 25


@dataclass(frozen=True)
class Site:
    """What a prepared runtime gives to the clusters of an arm's blocks."""

    project: Project
    server: DatabaseServer
    network: Network
    secrets: ClusterSecrets
    template: str
    """The migrated database that a block's database is a copy of."""

    overlay: tuple[Path, ...] = ()
    """Directories of an arm's own code, as the components see them."""


class ComposeCluster(Cluster):
    """One block's containers. `on_stop` is called when none of them is left."""

    def __init__(
        self,
        site: Site,
        arm: Arm,
        block: int,
        directory: Path,
        settings: ClusterSettings,
        on_stop: Callable[[ComposeCluster], None],
    ) -> None:
        self._site = site
        self._project = site.project
        self._arm = arm
        self._directory = directory
        self._settings = settings
        self._on_stop = on_stop
        self._database = f"block_{block}"
        self._shared = SHARED / f"block-{block}"
        self._members: dict[str, Member] = {}
        self._events: list[ComponentEvent] = []
        self._watch: Watch | None = None
        self._postgres_restarting = False
        self._stopped = False

    @property
    def api_url(self) -> str:
        return API_URL

    @property
    def database(self) -> str:
        return self._database

    def dsn(self, application_name: str = "observer") -> str:
        return self._site.server.dsn(self._database, application_name)

    @property
    def components(self) -> tuple[Component, ...]:
        return tuple(member.component() for member in self._members.values())

    @property
    def shared(self) -> Path:
        return self._shared

    @property
    def postgres_log(self) -> Path:
        return POSTGRES_LOG

    @property
    def secrets(self) -> ClusterSecrets:
        return self._site.secrets

    def start(self) -> None:
        """Start all at the same time: the order makes no difference, because both cores are busy throughout."""
        self._directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._shared, ignore_errors=True)  # of a run that was killed
        for directory in (self._shared, self._shared / "fixes"):
            directory.mkdir(parents=True)
            directory.chmod(0o777)  # the components come as another user
        server = self._site.server
        server.drop_database(self._database)
        server.create_database(self._database, self._site.template)
        if self._settings.deadlock_timeout_ms is not None:
            server.set_deadlock_timeout(self._database, self._settings.deadlock_timeout_ms)
        self._watch = Watch(self._project.client, self._project.name)
        began = time.monotonic()
        self._project.remove_components()
        self._make()
        self._each("starting", lambda member: member.container.start())
        for member in self._members.values():
            member.log = LogFollower(self._project.client, str(member.container.id), member.log_file)
        self._wait_healthy(began + self._settings.start_timeout_s)

    def stop(self) -> None:
        """Nothing that a component does in its last seconds is judged, and its database is thrown away: no grace."""
        if self._stopped:
            return
        self._stopped = True
        try:
            self._each("ending", lambda member: end(member.container))
            for member in self._members.values():
                if member.log is not None:
                    member.log.finish(_LOG_END_TIMEOUT_S)
        finally:
            if self._watch is not None:
                self._watch.close()
            self._each("removing", lambda member: remove(member.container))
            self._project.remove_components()  # also those of a start that failed half-way
            self._project.restore_components()
            self._members.clear()
            self._on_stop(self)
        self._site.server.drop_database(self._database)
        shutil.rmtree(self._shared, ignore_errors=True)

    def poll(self) -> list[ComponentEvent]:
        assert self._watch is not None
        for event in self._watch.drain():
            self._take(event)
        problems = [self._watch.problem, *(m.log.problem for m in self._members.values() if m.log is not None)]
        for problem in problems:
            if problem is not None:
                raise EngineError(problem)
        events, self._events = self._events, []
        return events

    def kill(self, component: str, sig: signal.Signals) -> None:
        """SIGKILL goes to every process in the container but its init, which then ends as the main process did.

        Not by the engine's own `kill`: that counts as a user's wish, after which the restart policy does nothing.
        """
        member = self._member(component)
        try:
            if sig is signal.SIGKILL:
                member.container.exec_run(["sh", "-c", "kill -KILL -1"])
            else:
                member.container.kill(sig.name)
        except APIError as error:
            raise explain_for(component, error, f"sending {sig.name} to {component}") from error

    def restart(self, component: str) -> None:
        try:
            self._member(component).container.restart(timeout=_RESTART_GRACE_S)
        except APIError as error:
            raise explain_for(component, error, f"restarting {component}") from error

    def pause(self, component: str) -> None:
        try:
            self._member(component).container.pause()
        except APIError as error:
            raise explain_for(component, error, f"pausing {component}") from error

    def resume(self, component: str) -> None:
        container = self._member(component).container
        try:
            container.reload()
            if container.status == "paused":
                container.unpause()
        except APIError as error:
            if isinstance(explain_for(component, error, "resuming"), ComponentFailed):
                return  # it ended meanwhile
            raise explain(error, f"resuming {component}") from error

    def cut_off(self, component: str) -> None:
        postgres = self._project.postgres
        postgres.reload()
        network = self._project.services[POSTGRES].network
        address = postgres.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]
        self._site.network.lose(self._member(component).container, address)

    def slow(self, component: str, delay_ms: float, jitter_ms: float, loss_percent: float) -> None:
        self._site.network.delay(self._member(component).container, delay_ms, jitter_ms, loss_percent)

    def restore_network(self, component: str) -> None:
        try:
            self._site.network.restore(self._member(component).container)
        except NotFound:
            return

    def restart_postgres(self) -> None:
        self._postgres_restarting = True
        try:
            self._project.postgres.restart(timeout=_RESTART_GRACE_S)
        except APIError as error:
            raise explain(error, "restarting PostgreSQL") from error
        deadline = time.monotonic() + _POSTGRES_TIMEOUT_S
        while True:
            try:
                with psycopg.connect(self.dsn("airflow-stress"), connect_timeout=2):
                    break
            except psycopg.Error as error:
                if time.monotonic() > deadline:
                    raise PostgresError(
                        f"PostgreSQL took no connection within {_POSTGRES_TIMEOUT_S:.0f} s of its restart: {error}"
                    ) from error
                time.sleep(_HEALTH_INTERVAL_S)

    def unhealthy(self, since: float) -> frozenset[str]:
        return unhealthy(self.dsn("airflow-stress"), self.api_url, self._roles(), since)

    def memory_bytes(self) -> Mapping[str, int]:
        """What the engine counts for each container, but for the page cache that could be dropped at once."""
        containers = {member.name: member.container for member in self._members.values()}
        containers[POSTGRES] = self._project.postgres
        with ThreadPoolExecutor(len(containers)) as pool:
            found = pool.map(memory_bytes, containers.values())
            return dict(zip(containers, found, strict=True))

    def cpu_seconds(self) -> Mapping[str, CpuReading]:
        """What the engine counts for each container; a container that is started again begins at 0."""
        running = {m.name: (m.pid, m.container) for m in self._members.values() if m.pid is not None}
        running[POSTGRES] = (0, self._project.postgres)
        with ThreadPoolExecutor(len(running)) as pool:
            found = list(pool.map(lambda one: cpu_seconds(one[1]), running.values()))
        return {
            name: CpuReading(life, seconds)
            for (name, (life, _)), seconds in zip(running.items(), found, strict=True)
            if seconds is not None
        }

    def _make(self) -> None:
        for spec in components(api_workers=self._settings.api_workers):
            name = spec.name
            variables = component_variables(
                self._settings, self._arm, name, self.api_url, self._shared, defaults={}, overlay=self._site.overlay
            )
            variables["AIRFLOW_STRESS_DATABASE"] = self._database
            container = self._project.create(spec, self._arm, variables)
            self._members[name] = Member(spec, container, self._directory / f"{name}.log")

    def _each(self, doing: str, action: Callable[[Member], None]) -> None:
        """For all members at the same time; all are tried, then the first failure is raised."""
        if not self._members:
            return
        with ThreadPoolExecutor(len(self._members)) as pool:
            done = [pool.submit(action, member) for member in self._members.values()]
        for future in done:
            error = future.exception()
            if isinstance(error, APIError):
                raise explain(error, f"{doing} the cluster's containers")
            if error is not None:
                raise error

    def _member(self, component: str) -> Member:
        member = self._members.get(component)
        if member is None:
            raise ComponentFailed(f"there is no component {component} in this block")
        return member

    def _roles(self) -> dict[str, Role]:
        return {member.name: member.role for member in self._members.values()}

    def _take(self, event: EngineEvent) -> None:
        if event.container == self._project.postgres.id:
            self._take_postgres(event)
            return
        member = next((m for m in self._members.values() if m.container.id == event.container), None)
        taken = member.take(event) if member is not None else None
        if taken is not None:
            self._events.append(taken)

    def _take_postgres(self, event: EngineEvent) -> None:
        if event.action == "die" and not self._postgres_restarting:
            raise PostgresError(
                f"PostgreSQL ended in the middle of a block, with exit code {event.exit_code}: "
                "the block cannot be judged"
            )
        if event.action == "start":
            self._postgres_restarting = False

    def _wait_healthy(self, deadline: float) -> None:
        assert self._watch is not None
        # The database is the block's own: no heartbeat in it is older than the block.
        starting = partial(api_starting, self._directory / f"{Role.API_SERVER}.log", self._settings.api_workers)
        while missing := self.unhealthy(since=0.0) | starting():
            for event in self._watch.drain():
                self._take(event)
            ended = next((event for event in self._events if event.kind is EventKind.EXITED), None)
            if ended is not None:
                raise ComponentFailed(
                    self._describe_failure(ended.component, f"ended with exit code {ended.exit_code} at its start")
                )
            if time.monotonic() > deadline:
                raise ComponentFailed(
                    self._describe_failure(
                        min(missing),
                        f"was not healthy after {self._settings.start_timeout_s:.0f} s "
                        f"(not healthy: {', '.join(sorted(missing))})",
                    )
                )
            time.sleep(_HEALTH_INTERVAL_S)

    def _describe_failure(self, component: str, what: str) -> str:
        member = self._members[component]
        try:
            tail = member.container.logs(tail=_TAIL_LINES).decode("utf-8", "replace")
        except APIError as error:
            tail = f"(its output can't be read: {error.explanation or error})"
        return f"{component} {what}; the end of {member.log_file}:\n{tail}"
