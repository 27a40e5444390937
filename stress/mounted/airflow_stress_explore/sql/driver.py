"""What depends on the DB-API driver: psycopg2, as Airflow uses it."""

from __future__ import annotations

from typing import Any


def connect(dsn: str) -> Any:
    """A connection that commits each statement."""
    import psycopg2  # the harness reads this package's data, and does not have the driver

    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    return connection


def backend_of(connection: Any) -> int | None:
    """Process id of the server's backend; None for a connection that is closed."""
    return None if connection.closed else int(connection.info.backend_pid)


def sqlstate_of(error: Any) -> str:
    """The code of an error that the server gave; empty for another error."""
    return getattr(error, "pgcode", None) or ""
