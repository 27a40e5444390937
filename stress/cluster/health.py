"""Which components give signs of life: by what Airflow itself goes by, the same on every runtime."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import psycopg

from stress.components import Role

_JOB_OF_ROLE = {Role.SCHEDULER: "SchedulerJob", Role.TRIGGERER: "TriggererJob", Role.DAG_PROCESSOR: "DagProcessorJob"}

# Which components are at work, by the names that they have as hosts.
_ALIVE = """
SELECT job_type, hostname FROM job
WHERE state = 'running' AND latest_heartbeat IS NOT NULL AND latest_heartbeat > to_timestamp(%s)
"""


# A line of the api-server's log, one a process: uvicorn's.
_SERVES = b"Application startup complete"


def unhealthy(dsn: str, api_url: str, components: Mapping[str, Role], since: float) -> frozenset[str]:
    """The components without a heartbeat later than `since` (Unix); all, while the database can't be asked."""
    missing = set(components)
    try:
        options = "-c statement_timeout=5s"
        with psycopg.connect(dsn, autocommit=True, connect_timeout=5, options=options) as connection:
            for job_type, host in connection.execute(_ALIVE, (since,)):
                if host in missing and _JOB_OF_ROLE.get(components[host]) == job_type:
                    missing.discard(host)
    except psycopg.Error:
        return frozenset(components)
    for name, role in components.items():
        if role is Role.API_SERVER and api_answers(api_url):
            missing.discard(name)
    return frozenset(missing)


def api_starting(log_file: Path, workers: int) -> frozenset[str]:
    """The api-server, while not all of its processes serve requests by its log; one of them answers for all."""
    if workers == 1 or (log_file.exists() and log_file.read_bytes().count(_SERVES) >= workers):
        return frozenset()
    return frozenset({Role.API_SERVER.value})


def api_answers(api_url: str) -> bool:
    """Whether the api-server tells its version."""
    try:
        with urllib.request.urlopen(f"{api_url}/api/v2/version", timeout=2) as response:  # noqa: S310 - our own
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
