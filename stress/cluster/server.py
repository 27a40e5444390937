"""A PostgreSQL server, wherever it runs: its address, and the databases that blocks get on it."""

from __future__ import annotations

import re
from urllib.parse import quote

import psycopg
from psycopg import sql

from stress.cluster.errors import PostgresError

_STATEMENT_TIMEOUT_S = 30
# Ends the connections that read replication slots of a database, and waits until they have ended.
_END_SLOTS = sql.SQL(
    "SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots"
    " WHERE database = {} AND active_pid IS NOT NULL"
)
_DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class DatabaseServer:
    """Where a server is and as whom we come: a superuser, who may make databases and end sessions."""

    def __init__(self, host: str, port: int, user: str, password: str) -> None:
        self.host = host
        self.port = port
        self.user = user
        self.password = password

    def dsn(self, database: str, application_name: str) -> str:
        """An address for psycopg."""
        return (
            f"postgresql://{self.user}:{quote(self.password, safe='')}@{self.host}:{self.port}/{database}"
            f"?application_name={quote(application_name, safe='')}"
        )

    def sqlalchemy_url(self, database: str, application_name: str, driver: str = "psycopg2") -> str:
        """An address for SQLAlchemy. asyncpg's has no application name, which is passed as a server setting."""
        base = f"postgresql+{driver}://{self.user}:{quote(self.password, safe='')}@{self.host}:{self.port}/{database}"
        return base if driver == "asyncpg" else f"{base}?application_name={quote(application_name, safe='')}"

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make a database, as a copy of `template` if given (to which no session may be connected)."""
        statement = sql.SQL("CREATE DATABASE {}").format(_identifier(name))
        if template is not None:
            # FILE_COPY moves whole files instead of every page through the write-ahead log: no durability, no need.
            statement += sql.SQL(" TEMPLATE {} STRATEGY file_copy").format(_identifier(template))
        self.execute(statement, f"creating database {name}")

    def drop_database(self, name: str) -> None:
        """Remove a database and end the sessions that are connected to it.

        PostgreSQL refuses while a replication slot of the database is active, also with FORCE: a slot's connection that
        was just closed can need a moment to end.
        """
        self.execute(_END_SLOTS.format(sql.Literal(name)), f"ending the replication slots of {name}")
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(_identifier(name))
        self.execute(statement, f"dropping database {name}")

    def set_deadlock_timeout(self, database: str, milliseconds: int) -> None:
        """Another than the server's, for sessions of a database that begin from now on."""
        statement = sql.SQL("ALTER DATABASE {} SET deadlock_timeout = {}").format(
            _identifier(database), sql.Literal(f"{milliseconds}ms")
        )
        self.execute(statement, f"setting the deadlock timeout of {database}")

    def execute(self, statement: sql.Composed, what: str) -> None:
        """Run a statement in the server's own database. Raises PostgresError with what failed."""
        try:
            with psycopg.connect(
                self.dsn("postgres", "airflow-stress"), autocommit=True, connect_timeout=_STATEMENT_TIMEOUT_S
            ) as connection:
                connection.execute(f"SET statement_timeout = '{_STATEMENT_TIMEOUT_S}s'")
                connection.execute(statement)
        except psycopg.Error as error:
            raise PostgresError(f"{what} failed: {str(error).strip()}") from error

    def version(self) -> str:
        """What the server says it is, such as `16.10`. Raises PostgresError."""
        try:
            with psycopg.connect(self.dsn("postgres", "airflow-stress"), connect_timeout=5) as connection:
                row = connection.execute("SHOW server_version").fetchone()
        except psycopg.Error as error:
            raise PostgresError(f"asking for the server's version failed: {str(error).strip()}") from error
        return str(row[0]).partition(" ")[0] if row else "unknown"


def _identifier(name: str) -> sql.Identifier:
    if not _DATABASE_NAME.fullmatch(name):
        raise PostgresError(f"{name!r} can't be the name of a database: use a-z, 0-9 and '_'")
    return sql.Identifier(name)
