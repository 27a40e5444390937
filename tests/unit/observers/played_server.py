"""A server that is played, whose log the tests write themselves: records of PostgreSQL 16, and marks that come back.

A server that answers is needed only to write marks. `tests/cluster/test_observers.py` has the real one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg

from stress import events
from stress.observers.postgres_log import PostgresLog

REFRESH = (
    "UPDATE task_instance SET updated_at='2026-11-21T08:24:31.971368+00:00'::timestamptz, "
    "dag_version_id='01a1fd34-fd20-75d0-a14b-b1ab3f4a8749'::uuid::UUID WHERE task_instance.dag_id = 'churn_0' "
    "AND task_instance.state IN ('running', 'queued', NULL)"
)
STATE_UPDATE = (
    "SELECT task_instance.id AS task_instance_id \n"
    "FROM task_instance JOIN dag_run AS dag_run_1 ON dag_run_1.run_id = task_instance.run_id \n"
    "WHERE task_instance.id = '01a1fd34-d8ea-7358-ae2f-c11edeadafe1'::uuid::UUID FOR UPDATE"
)
# As the server wrote them, statements shortened.
OF_TWO: dict[str, Any] = {
    "timestamp": "2026-11-21 08:24:31.837 UTC",
    "user": "postgres",
    "dbname": "block_0",
    "pid": 23994,
    "error_severity": "ERROR",
    "state_code": "40P01",
    "message": "deadlock detected",
    "detail": "Process 23994 waits for ShareLock on transaction 1023; blocked by process 23622.\n"
    "Process 23622 waits for ShareLock on transaction 1075; blocked by process 23994.\n"
    f"Process 23994: {STATE_UPDATE[:100]}\n"
    f"Process 23622: {REFRESH}",
    "hint": "See server log for query details.",
    "context": 'while locking tuple (4,13) in relation "dag_run"',
    "statement": STATE_UPDATE,
    "application_name": "api-server",
    "backend_type": "client backend",
    "query_id": 0,
}
OF_THREE: dict[str, Any] = OF_TWO | {
    "pid": 23622,
    "detail": "Process 23622 waits for ShareLock on transaction 1078; blocked by process 23995.\n"
    "Process 23995 waits for AccessExclusiveLock on tuple (5,9) of relation 16841 of database 16384; "
    "blocked by process 23990.\n"
    "Process 23990 waits for ShareLock on transaction 1023; blocked by process 23622.\n"
    f"Process 23622: {REFRESH}\n"
    f"Process 23995: {STATE_UPDATE}\n"
    f"Process 23990: {STATE_UPDATE}",
    "context": 'while updating tuple (24,20) in relation "task_instance"',
    "statement": REFRESH,
    "application_name": "scheduler-1",
}


class Answer:
    """What a statement returned; `description` is None where there are no rows."""

    def __init__(self, rows: list[tuple[Any, ...]] | None) -> None:
        self.rows = rows
        self.description = rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        assert self.rows is not None
        return self.rows


class Server:
    """Plays the server: who is connected, and a log that it writes marks into while it can."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.sessions = {23994: "api-server", 23622: "scheduler-1", 23995: "api-server", 23990: "api-server"}
        self.relations = {16841: "dag_run"}
        self.writes = True
        self.answers = True
        self.log.touch()

    @property
    def broken(self) -> bool:
        return not self.answers

    def connect(self, *_: object, **__: object) -> Server:
        if not self.answers:
            raise psycopg.OperationalError("connection refused")
        return self

    def execute(self, statement: bytes | str) -> Answer:
        if not self.answers:
            raise psycopg.OperationalError("the connection is closed")
        text = statement if isinstance(statement, str) else statement.decode()
        if text.startswith("SELECT pid"):
            return Answer(list(self.sessions.items()))
        if text.startswith("SELECT relname"):
            number = int(text.rpartition(" ")[2])
            return Answer([(self.relations[number],)] if number in self.relations else [])
        if "airflow-stress mark" in text and self.writes:
            self.write({"dbname": "block_0", "pid": 1, "message": text.split("'")[1]})
        return Answer(None)

    def write(self, record: dict[str, Any]) -> None:
        with self.log.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def close(self) -> None:
        pass


class Clock:
    """A monotonic clock that moves only when somebody sleeps or a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def deadlocks(observer: PostgresLog) -> list[events.DeadlockSeen]:
    return [event for event in observer.poll() if isinstance(event, events.DeadlockSeen)]
