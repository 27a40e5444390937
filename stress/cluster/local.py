"""The cluster as processes on this machine: no Docker, no root, nothing but Python (and it works as root, too).

    harness -+- watchdog                                 ends the rest if the harness can't (`guard`)
             +- postgres                                 one server a run, one database a block (`postgres`)
             +- api-server, dag-processor                six processes a block, each with a session, a log file,
             +- scheduler-1, scheduler-2                 an application name and a host name of its own
             +- triggerer-1, triggerer-2

Every component gets the same environment, whole: variables of the machine's own that begin with AIRFLOW are left out,
so that somebody's Airflow on the same machine neither changes a result nor is touched. Secrets are shared by all
components of a run (else workers get "Signature verification failed") and made anew for each.

Ready within seconds
  What a start costs is importing Airflow six times, 2 to 3 s of CPU each; two cores can't do that in less than about
  8 s. So everything starts at once, on compiled bytecode, and nothing starts that nobody needs: no example DAGs, one
  api-server worker, no log servers (components share a disk), no health servers. Health is what Airflow itself goes by:
  the `job` table's rows, in which each component is told by its host name (`mounted/airflow_stress_component.py`),
  and the api-server's version endpoint.

Restarts
  A component that ends is started again after 0.5 s, then 1 s, 2 s, up to 10 s if it keeps ending; a minute of life
  forgives. Before that, whatever its session left behind is killed: a scheduler's orphaned workers must not go on
  beside those of its successor, as a container's end would have ended them.

Faults
  A component that is killed or paused is so with all its processes, as a container would be. There is one network for
  all, so that nothing can be cut off or slowed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stress.arms.environments import AirflowEnvironment, environment_for
from stress.arms.spec import Arm, unpacked
from stress.cluster import differences, procfs
from stress.cluster.airflow import COMMON_CONFIG, component_variables, config_variable
from stress.cluster.base import (
    Cluster,
    ClusterSecrets,
    ClusterSettings,
    Component,
    ComponentEvent,
    CpuReading,
    EventKind,
    Progress,
    Role,
    Runtime,
    silent,
)
from stress.cluster.errors import ClusterError, ComponentFailed, FaultImpossible, PostgresError
from stress.cluster.guard import RunGuard
from stress.cluster.health import unhealthy
from stress.cluster.ports import free_port, is_free
from stress.cluster.postgres import Postgres, PostgresSettings, server_version
from stress.cluster.processes import Command, Label, Process, kill_trees, spawn, stop_all, wait_any
from stress.results import SettingDifference

_MIGRATE_TIMEOUT_S = 180.0
_STOP_GRACE_S = 2.5
"""Nothing that a component writes in its last seconds is judged, and its database is thrown away: no more patience."""

_RESTART_GRACE_S = 5.0
_PAUSE_TIMEOUT_S = 5.0
_HEALTH_INTERVAL_S = 0.2
_FORGIVEN_AFTER_S = 60.0
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 10.0


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
    """Whom `pause` stopped."""


class LocalRuntime(Runtime):
    """Processes and an embedded PostgreSQL."""

    name = "local"

    def __init__(self, run_id: str | None = None, postgres: PostgresSettings | None = None) -> None:
        self._run_id = run_id
        self._postgres_settings = postgres or PostgresSettings()
        self._guard: RunGuard | None = None
        self._postgres: Postgres | None = None
        self._environments: dict[tuple[str, tuple[Path, ...]], AirflowEnvironment] = {}
        self._templates: dict[tuple[str, tuple[Path, ...]], str] = {}
        self._clusters: list[LocalCluster] = []
        self._secrets = ClusterSecrets.make()

    @property
    def label(self) -> Label:
        return self.guard.label

    @property
    def guard(self) -> RunGuard:
        if self._guard is None:
            raise ClusterError("the local runtime has not been prepared")
        return self._guard

    @property
    def postgres(self) -> Postgres:
        if self._postgres is None:
            raise ClusterError("the local runtime has not been prepared")
        return self._postgres

    def environment(self, arm: Arm) -> AirflowEnvironment:
        """The environment of an arm that `prepare` was given."""
        return self._environments[_key(arm)]

    def prepare(self, arms: Sequence[Arm], progress: Progress = silent) -> None:
        """Environments first: they may take minutes, and need no server."""
        for arm in arms:
            if _key(arm) not in self._environments:
                self._environments[_key(arm)] = environment_for(arm.airflow, overlay=unpacked(arm), progress=progress)
        if self._guard is None:
            self._guard = RunGuard(self._run_id)
        if self._postgres is None:
            progress("starting PostgreSQL")
            self._postgres = Postgres(self._guard.directory / "postgres", self._guard.label, self._postgres_settings)
            self._postgres.start()
        for key, environment in self._environments.items():
            if key not in self._templates:
                progress(f"migrating a database for Airflow {environment.release}")
                self._templates[key] = self._migrate(environment, f"template_{len(self._templates)}")

    def facts(self) -> Mapping[str, str]:
        """What the runs of this runtime stand on."""
        return {"PostgreSQL": f"{server_version().rpartition(' ')[2]}, deadlock_timeout 100 ms, fsync off"}

    def differences(self, arms: Sequence[Arm], settings: ClusterSettings) -> Sequence[SettingDifference]:
        """What PostgreSQL and the components are told that is not their default."""
        return [
            *differences.postgresql(self.postgres),
            *differences.airflow(
                [differences.Configured(arm, self._told(arm, settings)) for arm in arms], self._defaults_of
            ),
        ]

    def _told(self, arm: Arm, settings: ClusterSettings) -> dict[str, str]:
        environment = self._environments[_key(arm)]
        return {
            **base_environment(environment, self.guard.directory, self._secrets),
            **_database_variables(self.postgres, "airflow", "api-server"),
            **component_variables(settings, arm, "api-server", "http://127.0.0.1:0", self.guard.directory, {}),
        }

    def _defaults_of(self, arm: Arm) -> str:
        environment = self._environments[_key(arm)]
        return differences.printed_by(
            [str(environment.python), str(differences.DEFAULTS_SCRIPT)],
            base_environment(environment, self.guard.directory, self._secrets),
        )

    def open(self, arm: Arm, block: int, directory: Path, settings: ClusterSettings) -> LocalCluster:
        """A cluster for one block."""
        key = _key(arm)
        if key not in self._templates:
            raise ClusterError(f"arm {arm.name} was not among those that the runtime was prepared for")
        cluster = LocalCluster(
            self, arm, block, directory, settings, template=self._templates[key], cluster_secrets=self._secrets
        )
        self._clusters.append(cluster)
        return cluster

    def close(self) -> None:
        """Each step is tried even if the one before it failed; the guard's comes last and ends whatever is left."""
        with contextlib.ExitStack() as steps:
            if self._guard is not None:
                steps.callback(self._guard.close)
            if self._postgres is not None:
                steps.callback(self._postgres.stop)
            for cluster in self._clusters:
                steps.callback(cluster.stop)
        self._clusters.clear()

    def forget(self, cluster: LocalCluster) -> None:
        """The cluster has stopped."""
        if cluster in self._clusters:
            self._clusters.remove(cluster)

    def _migrate(self, environment: AirflowEnvironment, database: str) -> str:
        self.postgres.create_database(database)
        home = self.guard.directory / database
        home.mkdir()
        variables = base_environment(environment, home, self._secrets)
        variables |= _database_variables(self.postgres, database, "migrate")
        command = Command(
            name=f"airflow db migrate ({environment.release})",
            arguments=(str(environment.airflow), "db", "migrate"),
            environment=variables,
            log_file=home / "migrate.log",
        )
        process = spawn(command, self.label)
        try:
            code = process.wait(_MIGRATE_TIMEOUT_S)
        finally:
            stop_all([process], grace_s=0)
        if code != 0:
            why = f"did not end within {_MIGRATE_TIMEOUT_S:.0f} s" if code is None else f"failed with exit code {code}"
            raise ComponentFailed(
                f"`airflow db migrate` of {environment.release} {why}; the end of its output:\n{process.log_tail(25)}"
            )
        return database


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
    ) -> None:
        self._runtime = runtime
        self._arm = arm
        self._environment = runtime.environment(arm)
        self._directory = directory
        self._settings = settings
        self._template = template
        self._secrets = cluster_secrets
        self._database = f"block_{block}"
        self._home = runtime.guard.directory / f"block-{block}"
        self._port = 0
        self._members: list[_Member] = []
        self._events: list[ComponentEvent] = []
        self._stopped = False

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

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
        return self._home / "shared"

    @property
    def postgres_log(self) -> Path:
        return self._runtime.postgres.log_directory

    @property
    def secrets(self) -> ClusterSecrets:
        return self._secrets

    def start(self) -> None:
        """Everything at once: two cores are busy from the first moment to the last, whatever the order."""
        for directory in (self._home, self.shared, self.shared / "fixes", self._directory):
            directory.mkdir(parents=True, exist_ok=True)
        self._runtime.postgres.create_database(self._database, self._template)
        if self._settings.deadlock_timeout_ms is not None:
            self._runtime.postgres.set_deadlock_timeout(self._database, self._settings.deadlock_timeout_ms)
        self._port = free_port()
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
        for member in self._members:
            _let_go_on(member)  # a stopped process does not see that it is asked to end
        try:
            stop_all(running, grace_s=_STOP_GRACE_S)
        finally:
            for member in self._members:
                member.process = None
            self._runtime.forget(self)
        if self._runtime.postgres.exit_code() is None and self._home.is_dir():
            self._runtime.postgres.drop_database(self._database)
        shutil.rmtree(self._home, ignore_errors=True)

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
            process.popen.send_signal(sig)

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
        web = ("api-server", "--host", "127.0.0.1", "--port", str(self._port), "--workers", "1")
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
                (str(self._environment.python), str(self._environment.airflow), *arguments),
                self._directory / f"{name}.log",
            )
            for name, role, arguments in wanted
        ]

    def _variables(self, member: _Member) -> dict[str, str]:
        # Processes on one machine share its ports: each gets its own, also for what an arm may turn on.
        defaults = {
            "scheduler.scheduler_health_check_server_port": str(free_port()),
            "scheduler.scheduler_health_check_server_host": "127.0.0.1",
            "logging.worker_log_server_port": str(free_port()),
            "logging.trigger_log_server_port": str(free_port()),
        }
        return {
            **base_environment(self._environment, self._home, self._secrets),
            **_database_variables(self._runtime.postgres, self._database, member.name),
            **component_variables(
                self._settings,
                self._arm,
                member.name,
                self.api_url,
                self.shared,
                defaults,
                self._environment.overlay,
            ),
        }

    def _launch(self, member: _Member, kind: EventKind) -> None:
        command = Command(member.name, member.arguments, self._variables(member), member.log_file)
        member.process = spawn(command, self._runtime.label)
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
        code = self._runtime.postgres.exit_code()
        if code is not None:
            raise PostgresError(
                f"PostgreSQL ended in the middle of a block, with exit code {code}: the block can't be judged"
            )

    def _wait_healthy(self, deadline: float) -> None:
        running = [member.process for member in self._members if member.process is not None]
        missing = self._roles()
        # The database is new: whoever has a row in it is one of ours, and who was healthy once is not asked again.
        while silent := unhealthy(self.dsn("airflow-stress"), self.api_url, missing, since=0.0):
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
        if member.role is Role.API_SERVER and not is_free(self._port):
            hint = f" (port {self._port} is taken by another program: try again, another port will be chosen)"
        return f"{member.name} {what}{hint}; the end of {member.log_file}:\n{tail}"


def _let_go_on(member: _Member) -> None:
    """Undo `pause`, to exactly those that it stopped and that are still there."""
    while member.paused:
        procfs.kill(member.paused.pop(), signal.SIGCONT)


def base_environment(environment: AirflowEnvironment, home: Path, cluster_secrets: ClusterSecrets) -> dict[str, str]:
    """What every Airflow process of a run gets, whatever it does."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "PYTHON", "VIRTUAL_ENV", "PG", "COVERAGE", "OTEL_"))
    }
    # A proxy must not get between components on one machine.
    local_only = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    config = {
        **COMMON_CONFIG,
        "core.fernet_key": cluster_secrets.fernet_key,
        "api_auth.jwt_secret": cluster_secrets.jwt_secret,
        "api.secret_key": cluster_secrets.api_secret_key,
        "logging.base_log_folder": str(home / "logs"),
    }
    return {
        **kept,
        **local_only,
        "AIRFLOW_HOME": str(home),
        "HOME": str(home),
        "PATH": os.pathsep.join((str(environment.python.parent), os.environ.get("PATH", "/usr/bin:/bin"))),
        "PYTHONPATH": os.pathsep.join(map(str, environment.overlay)),
        "PYTHONUNBUFFERED": "1",
        "TZ": "UTC",
        **{config_variable(option): value for option, value in config.items()},
    }


def _database_variables(postgres: Postgres, database: str, application_name: str) -> dict[str, str]:
    return {
        config_variable("database.sql_alchemy_conn"): postgres.sqlalchemy_url(database, application_name),
        config_variable("database.sql_alchemy_conn_async"): postgres.sqlalchemy_url(
            database, application_name, "asyncpg"
        ),
    }


def _key(arm: Arm) -> tuple[str, tuple[Path, ...]]:
    return arm.airflow.version, arm.overlay
