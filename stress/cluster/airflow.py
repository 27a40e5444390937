"""What an Airflow component is told by its environment, the same on every runtime."""

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
        "core.simple_auth_manager_all_admins": "True",  # nobody but this machine can reach it
        "logging.colored_console_log": "False",
    }
)
"""Every Airflow process's configuration, whatever it does; docker-compose.yml says the same for the stock cluster."""


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
        **COMMON_CONFIG,
        "core.executor": settings.executor,
        "core.execution_api_server_url": f"{api_url}/execution/",
        "core.hostname_callable": "airflow_stress_component.hostname",
        "core.might_contain_dag_callable": "airflow_stress_component.might_contain_dag",
        "core.dags_are_paused_at_creation": "False",
        "api.base_url": api_url,
        "database.sql_alchemy_connect_args_async": "airflow_stress_component.ASYNC_CONNECT_ARGS",
        # One api-server worker with the default pool of 5 + 10 starves under load, and then hides the races.
        "database.sql_alchemy_pool_size": "20",
        "database.sql_alchemy_max_overflow": "40",
        # Nobody asks the schedulers over HTTP: a process less each.
        "scheduler.enable_health_check": "False",
        **defaults,
    }
    if settings.dags_folder is not None:
        config["core.dags_folder"] = str(settings.dags_folder)
    config |= dict(settings.config) | dict(arm.config)
    path = [
        *([settings.fixes_directory] if settings.fixes_directory is not None else []),
        *overlay,
        MOUNTED,
        *settings.pythonpath,
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
