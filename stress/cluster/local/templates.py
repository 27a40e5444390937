"""The migrated databases that the blocks' databases are copies of: one for each release and overlay of a run."""

from __future__ import annotations

from pathlib import Path

from stress.arms.environments import AirflowEnvironment
from stress.cluster.base import ClusterSecrets
from stress.cluster.errors import ComponentFailed
from stress.cluster.local.environment import base_environment, database_variables
from stress.cluster.postgres import Postgres
from stress.cluster.processes import Command, Label, spawn, stop_all

_MIGRATE_TIMEOUT_S = 180.0


def migrate(
    environment: AirflowEnvironment,
    postgres: Postgres,
    database: str,
    directory: Path,
    cluster_secrets: ClusterSecrets,
    label: Label,
) -> None:
    """Create a database and let the release migrate it. Raises ComponentFailed with the end of its output."""
    postgres.create_database(database)
    home = directory / database
    home.mkdir()
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
