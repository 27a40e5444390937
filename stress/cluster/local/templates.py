"""The migrated databases that the blocks' databases are copies of: one for each release and overlay of a run.

A migration takes Airflow about 10 s of CPU, and its result is the same each time for one locked environment. So its
result is kept in the cache, as the SQL text that `pg_dump` writes, and the next run reads that back in a second. Only a
dump that is whole is used, and never for an overlay, whose migrations may differ from the release's.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from stress.arms.environments import AirflowEnvironment
from stress.cache import cache_directory
from stress.cluster.base import ClusterSecrets
from stress.cluster.errors import ComponentFailed
from stress.cluster.local.environment import base_environment, database_variables
from stress.cluster.postgres import Postgres, find_binaries, server_version
from stress.cluster.server import DatabaseServer
from stress.cluster.supervision.processes import Command, Label, spawn, stop_all

_MIGRATE_TIMEOUT_S = 180.0
_COPY_TIMEOUT_S = 60.0
_LAST_WORDS = b"-- PostgreSQL database dump complete"
"""What `pg_dump` writes at the end; a file without it was cut off."""


def make_template(
    environment: AirflowEnvironment,
    postgres: Postgres,
    database: str,
    directory: Path,
    cluster_secrets: ClusterSecrets,
    label: Label,
) -> None:
    """Create a database with the release's schema: from the cache, or by `airflow db migrate`, which fills the cache.

    `directory` is for the logs. Raises ComponentFailed with the end of the migration's output.
    """
    postgres.create_database(database)
    home = directory / database
    home.mkdir()
    copier = _Copier(postgres, database, home, label)
    kept = kept_schema(environment)
    if _is_whole(kept) and copier.restore(kept):
        return
    # Nothing of a bad one is in the database: it is read in one transaction.
    with contextlib.suppress(OSError):
        kept.unlink(missing_ok=True)
    _migrate(environment, postgres, database, home, cluster_secrets, label)
    if not environment.overlay:
        copier.keep(kept)


def kept_schema(environment: AirflowEnvironment) -> Path:
    """Where the cache has a migrated database of this environment, if it has one."""
    server = server_version().rpartition(" ")[2]
    overlay = "-overlay" if environment.overlay else ""  # never written
    return cache_directory() / "schemas" / f"{environment.python.parents[1].name}{overlay}-pg{server}.sql"


def _is_whole(dump: Path) -> bool:
    try:
        return _LAST_WORDS in dump.read_bytes()[-200:]
    except OSError:
        return False


def _migrate(
    environment: AirflowEnvironment,
    postgres: DatabaseServer,
    database: str,
    home: Path,
    cluster_secrets: ClusterSecrets,
    label: Label,
) -> None:
    command = Command(
        name=f"airflow db migrate ({environment.release})",
        arguments=(str(environment.airflow), "db", "migrate"),
        environment={
            **base_environment(environment, home, cluster_secrets),
            **database_variables(postgres, database, "migrate"),
        },
        log_file=home / "migrate.log",
    )
    process = spawn(command, label)
    try:
        code = process.wait(_MIGRATE_TIMEOUT_S)
    finally:
        stop_all([process], grace_s=0)
    if code != 0:
        why = f"did not end within {_MIGRATE_TIMEOUT_S:.0f} s" if code is None else f"failed with exit code {code}"
        raise ComponentFailed(
            f"`airflow db migrate` of {environment.release} {why}; the end of its output:\n{process.log_tail(25)}"
        )


class _Copier:
    """Takes a database's content to and from a file, with PostgreSQL's own programs."""

    def __init__(self, server: DatabaseServer, database: str, home: Path, label: Label) -> None:
        self._server = server
        self._database = database
        self._home = home
        self._label = label

    def restore(self, dump: Path) -> bool:
        """Whether the database has the dump's content now; otherwise it is as it was."""
        return self._run(
            "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--file={dump}"
        )

    def keep(self, dump: Path) -> None:
        """Write the dump. Without room for it the next run migrates again."""
        with contextlib.suppress(OSError):
            dump.parent.mkdir(parents=True, exist_ok=True)
            partial = dump.with_name(f".{dump.name}.{os.getpid()}.partial")
            try:
                if self._run("pg_dump", "--no-owner", f"--file={partial}") and _is_whole(partial):
                    partial.replace(dump)
            finally:
                partial.unlink(missing_ok=True)

    def _run(self, program: str, *arguments: str) -> bool:
        command = Command(
            name=program,
            arguments=(str(find_binaries() / "bin" / program), *arguments, self._database),
            environment={
                "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
                "LC_ALL": "C",
                "PGHOST": self._server.host,
                "PGPORT": str(self._server.port),
                "PGUSER": self._server.user,
                "PGPASSWORD": self._server.password,
            },
            log_file=self._home / f"{program}.log",
        )
        process = spawn(command, self._label)
        try:
            return process.wait(_COPY_TIMEOUT_S) == 0
        finally:
            stop_all([process], grace_s=0)
