"""A PostgreSQL of one's own with a release's tables in it, there within a second.

`airflow db migrate` takes five seconds and `initdb` one. Both are done once a release: the data directory of the server
is kept in the cache after a clean stop, and each command starts its own server on a copy of it. No server outlives
its command: there is nothing to share, to find again or to clean up, and the copy costs a fifth of a second.

    <cache>/labs/<release>-<lock's digest>-<layout>/data         the data directory, with the database `airflow`
    <cache>/labs/<release>-<lock's digest>-<layout>/.complete    written last

The kept directory's password is unknown to everybody; the copy gets a new one, by the server's single-user mode.

The server is set for races, not for load: `deadlock_timeout` is 1 ms (the least there is), nothing vacuums by itself
(it would wait for locks, and make others wait), and plain lock waits are not logged.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from stress.arms.environments import AirflowEnvironment, environment_for
from stress.arms.releases import Release, locked
from stress.cache import cache_directory, exclusive, write_atomically
from stress.cluster.errors import PostgresError
from stress.cluster.ports import free_port
from stress.cluster.postgres import Postgres
from stress.cluster.postgres_settings import PostgresSettings
from stress.cluster.supervision.guard import RunGuard
from stress.cluster.supervision.processes import Label

DATABASE = "airflow"
DEADLOCK_TIMEOUT_MS = 1

_LAYOUT = "1"
"""Another one whenever what is kept changes."""

_MIGRATE_TIMEOUT_S = 180.0
_CP = "/bin/cp"
_SETTINGS = {
    "autovacuum": "off",
    "log_lock_waits": "off",
    "checkpoint_timeout": "1d",
    "min_wal_size": "32MB",
    "max_connections": "60",
}


class LabServer(Postgres):
    """A server that starts on a copy of a kept data directory, if it is given one."""

    def __init__(self, directory: Path, label: Label, kept: Path | None = None) -> None:
        settings = PostgresSettings(deadlock_timeout_ms=DEADLOCK_TIMEOUT_MS, shared_buffers_mb=64, port=free_port())
        super().__init__(directory, label, settings)
        self._kept = kept

    def _initialise(self) -> None:
        if self._kept is None:
            super()._initialise()
            return
        _copy(self._kept, self.data_directory)
        self.log_directory.mkdir(exist_ok=True)
        if self._user is not None:
            os.chown(self.log_directory, self._user.pw_uid, self._user.pw_gid)
        self._configure()
        self._set_password()

    def _configure(self) -> None:
        super()._configure()
        with (self.data_directory / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())

    def _set_password(self) -> None:
        # The password is made of letters, digits, '-' and '_' (`token_urlsafe`).
        done = subprocess.run(
            [
                *(self._program("postgres"), "--single", "-D", str(self.data_directory)),
                *("-c", "log_destination=stderr", "-c", "logging_collector=off", "-c", "scram_iterations=1"),
                "postgres",
            ],
            input=f"ALTER USER {self.user} PASSWORD '{self.password}'\n",
            env=dict(self._environment()),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
            cwd="/",
        )
        if done.returncode != 0 or "ERROR" in done.stderr:
            raise PostgresError(f"the copy of {self._kept} could not be given a password: {done.stderr.strip()[-500:]}")


def _copy(source: Path, target: Path) -> None:
    """A data directory, as it is. Raises PostgresError, with the reason."""
    done = subprocess.run(
        [_CP, "-a", "--reflink=auto", str(source), str(target)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise PostgresError(f"the database of the release could not be copied: {last[0]}")


def kept_directory(release: Release, progress: Callable[[str], None]) -> Path:
    """The release's kept data directory, made now if there is none."""
    lock = locked(release, progress)
    directory = cache_directory() / "labs" / f"{release.version}-{lock.digest}-{_LAYOUT}"
    if not (directory / ".complete").is_file():
        what = f"make the database of Airflow {release.version}"
        with exclusive(directory.with_name(directory.name + ".lock"), what, _MIGRATE_TIMEOUT_S * 2, progress):
            if not (directory / ".complete").is_file():
                progress(f"making the database of Airflow {release.version}, once")
                _make(directory, environment_for(release, progress=progress))
    return directory / "data"


def _make(directory: Path, environment: AirflowEnvironment) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    guard = RunGuard()
    server = LabServer(guard.directory / "postgres", guard.label)
    try:
        server.start()
        migrate(environment, server, guard)
        # A server that was not stopped cleanly would have to recover at each start.
        server.stop()
        _copy(server.data_directory, directory / "data")
        (directory / "data" / "postgresql.auto.conf").unlink()
    finally:
        server.stop()
        guard.close()
    write_atomically(directory / ".complete", environment.release + "\n")


def migrate(environment: AirflowEnvironment, server: LabServer, guard: RunGuard) -> None:
    """Make the release's tables on a started server. Raises PostgresError with the end of the migration's output."""
    server.create_database(DATABASE)
    what = f"`airflow db migrate` of {environment.release}"
    try:
        done = subprocess.run(
            [str(environment.python), str(environment.airflow), "db", "migrate"],
            env=airflow_variables(environment, guard.directory / "home", server),
            cwd=guard.label.anchor,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_MIGRATE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PostgresError(f"{what} did not end within {_MIGRATE_TIMEOUT_S:.0f} s: is the machine busy?") from error
    if done.returncode != 0:
        last = done.stdout.strip().splitlines()[-1:] or ["no output"]
        raise PostgresError(
            f"{what} ended with {done.returncode}: {last[0]}\nThe end of its output:\n{done.stdout[-2000:]}"
        )


def airflow_variables(environment: AirflowEnvironment, home: Path, server: LabServer) -> dict[str, str]:
    """The whole environment of a process that runs the release on the lab's database."""
    home.mkdir(exist_ok=True)
    (home / "dags").mkdir(exist_ok=True)
    return {
        "PATH": f"{environment.python.parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "PYTHONPATH": os.pathsep.join(map(str, environment.overlay)),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
        ),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(32),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server.sqlalchemy_url(DATABASE, "explore"),
        # A look at the connection before each use would be a statement that belongs to no actor.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_PRE_PING": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
    }
