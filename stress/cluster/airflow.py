"""Airflow's settings: a component's environment, the same on every runtime; docker-compose.yml is tested against it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from stress.arms.spec import Arm
from stress.cluster.base import ClusterSettings
from stress.layout import MOUNTED

COMMON_CONFIG: Mapping[str, str] = MappingProxyType(
    {
        "core.load_examples": "False",
        "core.auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "core.simple_auth_manager_all_admins": "True",  # only this machine can reach the api-server
        "logging.colored_console_log": "False",
    }
)
"""Configuration of every Airflow process, `airflow db migrate` included (`section.key` to value)."""

COMPONENT_CONFIG: Mapping[str, str] = MappingProxyType(
    {
        **COMMON_CONFIG,
        "core.hostname_callable": "airflow_stress_component.hostname",
        "core.dags_are_paused_at_creation": "False",
        "database.sql_alchemy_connect_args_async": "airflow_stress_component.ASYNC_CONNECT_ARGS",
    }
)
"""Configuration of every component, that of docker-compose.yml's stock cluster included."""

BLOCK_CONFIG: Mapping[str, str] = MappingProxyType(
    {
        # One api-server worker with the default pool of 5 + 10 starves under load, and then hides the races.
        "database.sql_alchemy_pool_size": "20",
        "database.sql_alchemy_max_overflow": "40",
        # The harness reads heartbeats from the database: an HTTP server fewer in each scheduler.
        "scheduler.enable_health_check": "False",
        # The DAG files of scenarios that take no part are left out.
        "core.might_contain_dag_callable": "airflow_stress_component.might_contain_dag",
    }
)
"""Further configuration of the components of a block, which are under load."""


def config_variable(option: str) -> str:
    """The variable by which Airflow takes `section.key` from its environment."""
    section, _, key = option.rpartition(".")
    return f"AIRFLOW__{section.replace('.', '_').upper()}__{key.upper()}"


def component_variables(
    settings: ClusterSettings,
    arm: Arm,
    component: str,
    api_url: str,
    shared: Path,
    defaults: Mapping[str, str],
    overlay: Sequence[Path] = (),
) -> dict[str, str]:
    """A component's variables but for the database's address and the secrets.

    `defaults` are the runtime's own (`section.key` to value); the block's settings win over them, the
    arm's over both.
    """
    config = {
        **COMPONENT_CONFIG,
        **BLOCK_CONFIG,
        "core.executor": settings.executor,
        "core.execution_api_server_url": f"{api_url}/execution/",
        "api.base_url": api_url,
        **defaults,
    }
    if settings.dags_folder is not None:
        config["core.dags_folder"] = str(settings.dags_folder)
    config |= dict(settings.config) | dict(arm.config)
    path = [
        *([settings.fixes_directory] if settings.fixes_directory is not None else []),
        *overlay,
        MOUNTED,
        *([settings.dags_folder] if settings.dags_folder is not None else []),
    ]
    return {
        **{config_variable(option): value for option, value in config.items()},
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "PYTHONUNBUFFERED": "1",
        "TZ": "UTC",
        "AIRFLOW_STRESS_COMPONENT": component,
        "AIRFLOW_STRESS_SHARED": str(shared),
        "AIRFLOW_STRESS_DAG_FILES_LEFT_OUT": ",".join(settings.dag_files_left_out),
        "AIRFLOW_STRESS_FIXES": ",".join(arm.fixes),
        "AIRFLOW_STRESS_FIX_REPORT_DIR": str(shared / "fixes"),
        **settings.environment,
    }
