"""The variables of every Airflow process on the local runtime."""

from __future__ import annotations

import os
from pathlib import Path

from stress.arms.environments import AirflowEnvironment
from stress.arms.spec import Arm
from stress.cluster.airflow import COMMON_CONFIG, component_variables, config_variable
from stress.cluster.base import ClusterSecrets, ClusterSettings
from stress.cluster.local.seats import Seat
from stress.cluster.server import DatabaseServer


def base_environment(environment: AirflowEnvironment, home: Path, cluster_secrets: ClusterSecrets) -> dict[str, str]:
    """What every Airflow process of a run gets."""
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


def block_environment(
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
    health, worker_logs, trigger_logs = seat.ports_of(place)
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


def database_variables(server: DatabaseServer, database: str, application_name: str) -> dict[str, str]:
    """The block's database."""
    return {
        config_variable("database.sql_alchemy_conn"): server.sqlalchemy_url(database, application_name),
        config_variable("database.sql_alchemy_conn_async"): server.sqlalchemy_url(
            database, application_name, "asyncpg"
        ),
    }
