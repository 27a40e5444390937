"""Runs inside Airflow, on PYTHONPATH of every component: who am I?

Airflow writes down the host name of each job and takes a host per component for granted. On one machine all would have
the same; so `core.hostname_callable` points here, and the `job` table tells `triggerer-1` from `triggerer-2`, as it
does where each component is a container. The asynchronous driver can't be told its application name in the address,
so it gets it as a server setting.

Standard library only; imports nothing of the harness.
"""

from __future__ import annotations

import os
import socket


def hostname() -> str:
    """The component's name."""
    return os.environ.get("AIRFLOW_STRESS_COMPONENT") or socket.gethostname()


ASYNC_CONNECT_ARGS = {"server_settings": {"application_name": hostname()}}
