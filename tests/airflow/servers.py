"""The PostgreSQL server that tests are given: makes and drops databases, and tells who waits for whom."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2


class Server:
    """A server, by the URL of a superuser, and the name of the database that Airflow uses on it."""

    def __init__(self, dsn: str, database: str) -> None:
        self.dsn = urlunsplit(urlsplit(dsn)._replace(scheme="postgresql"))
        self.database = database

    def url(self, database: str | None = None) -> str:
        """SQLAlchemy's URL of a database."""
        parts = urlsplit(self.dsn)
        return urlunsplit(parts._replace(scheme="postgresql+psycopg2", path=f"/{database or self.database}"))

    def run(self, statement: str, *parameters: Any, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run one statement outside any transaction of the tests."""
        dsn = self.dsn if database is None else urlunsplit(urlsplit(self.dsn)._replace(path=f"/{database}"))
        connection = psycopg2.connect(dsn)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement in Airflow's database."""
        return self.run(statement, *parameters, database=self.database)

    def count(self, table: str) -> int:
        """Committed rows of a table."""
        return int(self.query(f"SELECT count(*) FROM {table}")[0][0])

    def create(self, name: str, template: str = "template1") -> None:
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def drop(self, name: str) -> None:
        self.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def blockers(self, pid: int) -> list[int]:
        """The backends that a backend waits for."""
        return list(self.run("SELECT pg_blocking_pids(%s)", pid)[0][0])

    def waiting_for_locks(self) -> int:
        """How many backends of Airflow's database wait for a lock right now."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
        return int(self.run(query, self.database)[0][0])
