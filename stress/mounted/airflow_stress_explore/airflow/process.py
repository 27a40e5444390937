"""The process that plays schedules of Airflow: its database, and its waits."""

from __future__ import annotations

import functools
import os
import sys
from types import SimpleNamespace
from typing import Any

from airflow_stress_explore.airflow.normalize import row_label
from airflow_stress_explore.sql.database import Database
from airflow_stress_explore.sql.snapshot import Snapshot

_URL = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


def use_database(url: str) -> None:
    """Make this process, which is not connected yet, work on another database of the same server."""
    from airflow import settings
    from sqlalchemy import event
    from sqlalchemy.engine import make_url

    os.environ[_URL] = url
    name = make_url(url).database

    def connect(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        parameters.pop("database", None)
        parameters["dbname"] = name

    event.listen(settings.engine, "do_connect", connect)


@functools.cache
def database_of_process() -> Database:
    """The database that the Airflow in this process works on."""
    return Database(os.environ[_URL].replace("postgresql+psycopg2://", "postgresql://"), row_label)


@functools.cache
def snapshot_of_process() -> Snapshot:
    """The snapshots of that database."""
    return Snapshot(database_of_process())


@functools.cache
def remove_pauses() -> None:
    """Make this process one in which nothing waits for time to pass."""
    import tenacity.nap

    # Airflow's retries after a database error pause for seconds. The pause is no part of the race: other actors take as
    # many steps as the schedule says meanwhile.
    tenacity.nap.time = SimpleNamespace(sleep=lambda _seconds: None)
    # Two threads run Python only when one was unblocked by the other's commit; then neither should wait for 5 ms.
    sys.setswitchinterval(0.0005)
