"""Runs inside Airflow, on PYTHONPATH of every component: who am I?

Airflow writes down the host name of each job and takes a host per component for granted. On one machine all would have
the same; so `core.hostname_callable` points here, and the `job` table tells `triggerer-1` from `triggerer-2`, as it
does where each component is a container. The asynchronous driver does not take its application name from the address,
so it gets it as a server setting.

`core.might_contain_dag_callable` points here, too: the dag-processor reads no DAG file of a scenario that takes no part
(`AIRFLOW_STRESS_DAG_FILES_LEFT_OUT`), because each file that it reads costs CPU time.

Standard library and Airflow only; imports nothing of the harness.
"""

from __future__ import annotations

import os
import socket
import zipfile
from pathlib import Path


def hostname() -> str:
    """The component's name."""
    return os.environ.get("AIRFLOW_STRESS_COMPONENT") or socket.gethostname()


def might_contain_dag(file_path: str, zip_file: zipfile.ZipFile | None = None) -> bool:
    """Whether the dag-processor is to read a file: by Airflow's own heuristic, unless the file is left out."""
    if Path(file_path).stem in os.environ.get("AIRFLOW_STRESS_DAG_FILES_LEFT_OUT", "").split(","):
        return False
    from airflow.utils.file import might_contain_dag_via_default_heuristic

    return bool(might_contain_dag_via_default_heuristic(file_path, zip_file))


ASYNC_CONNECT_ARGS = {"server_settings": {"application_name": hostname()}}
