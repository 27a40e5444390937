"""A connection to the block's database that outlives a restart of the server, for a bounded time.

After a restart the server is queried again; rows stored meanwhile can still be read. A server that is away for
`PATIENCE_S` is lost.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg

from stress.cluster.base import Cluster
from stress.observers.tail import SourceLost

_SAME_TABLES = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('public.task_instance')
               AND attname = 'working_set' AND NOT attisdropped) THEN
        CREATE TEMP VIEW task_instance AS SELECT * FROM public.task_instance WHERE working_set;
        CREATE TEMP VIEW task_instance_history AS
            SELECT id AS task_instance_id, * FROM public.task_instance WHERE working_set IS NULL;
    END IF;
END $$
"""
"""From 3.4 an earlier try stays in task_instance, archived, and task_instance_history is gone. Views of the session,
which PostgreSQL finds before the tables, give every statement of the observers the two relations of earlier releases.
"""

PATIENCE_S = 20.0
_PAUSE_S = 0.2
_CONNECT_TIMEOUT_S = 2


class Away(Exception):  # noqa: N818 - it says what happened
    """The server does not answer now, but is not lost yet. Try again later."""


class Connection:
    """Autocommit, short statements, a statement timeout of 5 s. Each call raises Away or SourceLost if it fails."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._connection: psycopg.Connection[Any] | None = None
        self._away_since: float | None = None

    def open(self) -> None:
        """Connect for the first time: a server that is not there now is not waited for. Raises SourceLost."""
        try:
            self._connect()
        except psycopg.Error as error:
            raise SourceLost(f"the database can't be reached: {str(error).strip()}") from error

    def close(self) -> None:
        """Close it."""
        if self._connection is not None:
            self._connection.close()

    def rows(self, statement: str, *, wait: bool = False) -> list[tuple[Any, ...]]:
        """The statement's rows, if it has any. With `wait`, waits for a server that is away instead of raising Away."""
        while True:
            try:
                return self._try(statement)
            except Away:
                if not wait:
                    raise
                time.sleep(_PAUSE_S)  # no event announces that the server is back; bounded by `PATIENCE_S`

    def _try(self, statement: str) -> list[tuple[Any, ...]]:
        asked_at = time.monotonic()
        try:
            if self._connection is None or self._connection.broken:
                self._connect()
            assert self._connection is not None
            cursor = self._connection.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description is not None else []
        except psycopg.Error as error:
            if self._connection is not None and not self._connection.broken:
                raise SourceLost(f"the database did not answer: {str(error).strip()}") from error
            self._away_since = self._away_since or asked_at
            away_s = time.monotonic() - self._away_since
            if away_s > PATIENCE_S:
                raise SourceLost(f"the database was away for {away_s:.0f} s: {str(error).strip()}") from error
            raise Away from error
        self._away_since = None
        return rows

    def _connect(self) -> None:
        self._connection = None
        self._connection = psycopg.connect(
            self._cluster.dsn("airflow-stress"),
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT_S,
            options="-c statement_timeout=5s",
        )
        self._connection.execute(_SAME_TABLES)
