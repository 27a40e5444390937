"""The variables of every Airflow process on the local runtime."""

from __future__ import annotations

import os
from pathlib import Path

from stress.arms.environments import AirflowEnvironment
from stress.cluster.airflow import COMMON_CONFIG, config_variable
from stress.cluster.base import ClusterSecrets
from stress.cluster.server import DatabaseServer


def base_environment(environment: AirflowEnvironment, home: Path, cluster_secrets: ClusterSecrets) -> dict[str, str]:
    """What every Airflow process of a run gets, whatever it does."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "PYTHON", "VIRTUAL_ENV", "PG", "PYTEST", "COVERAGE", "OTEL_"))
    }
    # Components on one machine must not reach each other through a proxy.
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


def database_variables(server: DatabaseServer, database: str, application_name: str) -> dict[str, str]:
    """The block's database."""
    return {
        config_variable("database.sql_alchemy_conn"): server.sqlalchemy_url(database, application_name),
        config_variable("database.sql_alchemy_conn_async"): server.sqlalchemy_url(
            database, application_name, "asyncpg"
        ),
    }
