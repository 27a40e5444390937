"""Observers of a real server: a deadlock that two sessions make, its log, and a log that is moved away."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stress import events
from stress.cluster.postgres import Postgres
from stress.cluster.postgres_settings import LOG_FILE
from stress.observers import connection, postgres_log
from stress.observers.database import Database
from stress.observers.postgres_log import PostgresLog
from stress.observers.tail import SourceLost
from tests.unit.clusters import PaperCluster

# As much of Airflow's tables as the observers ask about, with the columns of 3.2.
TABLES = """
CREATE TABLE task_instance (id int PRIMARY KEY, state text, dag_id text, run_id text, dag_version_id int,
    try_number int DEFAULT 0, scheduled_dttm timestamptz, queued_dttm timestamptz, start_date timestamptz);
CREATE TABLE dag_run (dag_id text, run_id text, state text, bundle_version text, id int);
CREATE TABLE dag_version (id int, dag_id text, version_number int, created_at timestamptz);
CREATE TABLE deadline (id int, missed boolean NOT NULL, deadline_time timestamptz);
CREATE TABLE job (id int, hostname text);
CREATE TABLE trigger (id int, classpath text, triggerer_id int);
INSERT INTO task_instance VALUES
    (1, 'success', 'd', 'r', 1), (2, 'success', 'd', 'r', 1), (3, 'queued', 'd', 'r', 1), (4, NULL, 'd', 'r', 2);
INSERT INTO dag_run VALUES ('d', 'r', 'running', NULL);
INSERT INTO dag_version VALUES (1, 'd', 1, now() - interval '1 hour'), (2, 'd', 2, now());
INSERT INTO deadline VALUES (1, true, now()), (2, false, now() + interval '1 day');
INSERT INTO job VALUES (7, 'triggerer-1');
INSERT INTO trigger VALUES (1, 'a.BigQueryLikeTrigger', 7), (2, 'airflow.triggers.callback.CallbackTrigger', NULL);
"""


_numbers = itertools.count()


class Sessions(PaperCluster):
    """A block on a real server: components are sessions with their names."""

    def __init__(self, directory: Path, server: Postgres, database: str) -> None:
        super().__init__(directory)
        self.server = server
        self._database = database
        self._pool: dict[str, psycopg.Connection] = {}

    @property
    def database(self) -> str:
        return self._database

    def dsn(self, application_name: str = "observer") -> str:
        return self.server.dsn(self._database, application_name)

    @property
    def postgres_log(self) -> Path:
        return self.server.log_directory / LOG_FILE

    def deadlock(self) -> None:
        """Two components update the same two rows in opposite orders; the server ends one of them."""
        both_hold = threading.Barrier(2, timeout=10)

        def cross(component: str, first: int, second: int) -> None:
            connection = self._session(component)
            connection.execute("UPDATE task_instance SET state = 'running' WHERE id = %s", (first,))
            both_hold.wait()
            # One of the two is the victim.
            with contextlib.suppress(psycopg.errors.DeadlockDetected):
                connection.execute("UPDATE task_instance SET dag_version_id = 9 WHERE id = %s", (second,))
            connection.rollback()
            # Else the server may count it a second late.
            connection.execute("SELECT pg_stat_force_next_flush()")
            connection.rollback()

        arguments = (("scheduler-1", 1, 2), ("api-server", 2, 1))
        threads = [threading.Thread(target=cross, args=one) for one in arguments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

    def _session(self, component: str) -> psycopg.Connection:
        """A connection that stays, as in Airflow's pools."""
        if component not in self._pool:
            self._pool[component] = psycopg.connect(self.dsn(component))
        return self._pool[component]

    def close(self) -> None:
        """Close the sessions."""
        while self._pool:
            self._pool.popitem()[1].close()


@pytest.fixture
def cluster(server: Postgres, tmp_path: Path) -> Iterator[Sessions]:
    """A database of the test's own."""
    name = f"block_{next(_numbers)}"
    server.create_database(name)
    with psycopg.connect(server.dsn(name, "setup")) as connection:
        connection.execute(TABLES)
    cluster = Sessions(tmp_path / "cluster", server, name)
    yield cluster
    cluster.close()


@pytest.fixture
def log(cluster: Sessions) -> Iterator[PostgresLog]:
    """An observer of the log that has begun."""
    log = PostgresLog(cluster)
    log.start()
    yield log
    log.close()


def deadlocks(log: PostgresLog) -> list[events.DeadlockSeen]:
    return [event for event in log.finish() if isinstance(event, events.DeadlockSeen)]


def test_a_real_deadlock_is_seen_with_both_components_and_statements(cluster: Sessions, log: PostgresLog) -> None:
    cluster.deadlock()
    (event,) = deadlocks(log)
    assert sorted((side.component, side.signature) for side in event.sides) == [
        ("api-server", "UPDATE task_instance SET dag_version_id"),
        ("scheduler-1", "UPDATE task_instance SET dag_version_id"),
    ]
    assert event.victim in ("api-server", "scheduler-1")
    assert "while updating tuple" in event.context


def test_every_deadlock_is_seen_once(cluster: Sessions, log: PostgresLog) -> None:
    for _ in range(3):
        cluster.deadlock()
    assert [len(deadlocks(log)) for _ in range(2)] == [3, 0]


def test_a_deadlock_of_another_block_is_not_ours(cluster: Sessions, server: Postgres, tmp_path: Path) -> None:
    server.create_database("another_block")
    other = PostgresLog(Sessions(tmp_path / "other", server, "another_block"))
    other.start()
    cluster.deadlock()
    assert deadlocks(other) == []
    other.close()


def test_the_server_counts_what_its_log_showed(cluster: Sessions, log: PostgresLog) -> None:
    cluster.deadlock()
    database = Database(cluster)
    database.start()
    counted = [event for event in database.finish() if isinstance(event, events.DatabaseSampled)]
    database.close()
    assert counted[0].deadlocks == len(deadlocks(log)) == 1


def test_a_log_that_is_moved_away_is_lost(cluster: Sessions, log: PostgresLog) -> None:
    path = cluster.postgres_log
    path.rename(path.with_name("elsewhere"))
    try:
        with pytest.raises(SourceLost, match=r"postgresql\.json is not there"):
            list(log.poll())
    finally:
        path.with_name("elsewhere").rename(path)


def test_a_log_that_the_server_does_not_write_to_is_lost(
    cluster: Sessions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The observer reads another file than the server writes: only the marks can tell.
    monkeypatch.setattr(postgres_log, "MARK_TIMEOUT_S", 0.3)
    unwritten = tmp_path / "log" / LOG_FILE
    unwritten.parent.mkdir()
    unwritten.touch()
    monkeypatch.setattr(Sessions, "postgres_log", unwritten)
    observer = PostgresLog(cluster)
    with pytest.raises(SourceLost, match="did not show our mark"):
        observer.start()
    observer.close()


def test_a_database_that_is_gone_is_lost(
    cluster: Sessions, server: Postgres, log: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PATIENCE_S", 1.0)
    server.drop_database(cluster.database)
    with pytest.raises(SourceLost, match="the database was away for 1 s"):
        list(log.finish())


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT id FROM task_instance WHERE id = 1 FOR UPDATE NOWAIT", "55P03"),
        ("SET LOCAL lock_timeout = 1; SELECT id FROM task_instance WHERE id = 1 FOR UPDATE", "55P03"),
        ("SET LOCAL statement_timeout = 1; SELECT id FROM task_instance WHERE id = 1 FOR UPDATE", "57014"),
    ],
    ids=["nowait", "lock_timeout", "statement_timeout"],
)
def test_a_lock_that_is_not_given_is_told(cluster: Sessions, log: PostgresLog, statement: str, code: str) -> None:
    holder, waiter = (psycopg.connect(cluster.dsn(name)) for name in ("scheduler-1", "api-server"))
    with holder, waiter:
        holder.execute("UPDATE task_instance SET state = 'running' WHERE id = 1")
        with pytest.raises(psycopg.errors.lookup(code)):
            waiter.execute(statement.encode())
        waiter.rollback()
        holder.rollback()
    (event,) = (event for event in log.finish() if isinstance(event, events.LockTimeoutSeen))
    assert (event.component, event.code, event.count) == ("api-server", code, 1)


@pytest.fixture
def database(cluster: Sessions) -> Iterator[Database]:
    """An observer of the database that has begun."""
    database = Database(cluster)
    database.start()
    yield database
    database.close()


def test_the_database_is_asked_for_what_is_counted_once(database: Database) -> None:
    found = {type(event): event for event in database.finish()}
    assert found[events.DeadlinesMissed] == events.DeadlinesMissed(deadlines=["1"])
    assert found[events.TasksCounted] == events.TasksCounted(by_state={"success": 2, "queued": 1, "none": 1})
    assert found[events.StaleVersionsCounted] == events.StaleVersionsCounted(
        task_instances=1, behind_their_run=1, passed_over=0
    )


def test_delays_are_those_of_tasks_queued_under_load(database: Database, cluster: Sessions) -> None:
    waits = {
        # queued before the load
        1: ("now() - interval '1 hour'", "now() - interval '1 hour'", "now()"),
        # queued after 2 s, started after another 0.5 s
        2: ("{queued} - interval '2 s'", "{queued}", "{queued} + interval '0.5 s'"),
        # resumed, with its first start
        3: ("{queued} - interval '3 s'", "{queued}", "{queued} - interval '9 s'"),
        # resumed, and not queued again yet
        4: ("{queued} + interval '1 s'", "{queued}", "{queued} - interval '9 s'"),
    }
    list(database.poll())
    with psycopg.connect(cluster.dsn("scheduler-1"), autocommit=True) as connection:

        def wait(task: int, times: tuple[str, str, str]) -> None:
            [now] = connection.execute("SELECT quote_literal(clock_timestamp()) || '::timestamptz'").fetchone() or ()
            values = ", ".join(times).format(queued=now)
            columns = "(scheduled_dttm, queued_dttm, start_date)"
            connection.execute(f"UPDATE task_instance SET {columns} = ({values}) WHERE id = {task}".encode())

        for task, times in waits.items():
            wait(task, times)
        assert database.aftermath(drains=False) is not None  # asked for when the load has ended
        connection.execute("INSERT INTO task_instance VALUES (5, 'queued', 'd', 'r', 1)")
        wait(5, waits[2])
    found = next(event for event in database.finish() if isinstance(event, events.TaskDelays))
    assert found == events.TaskDelays(scheduled_s=[2.0, 3.0], queued_s=[0.5])


def test_without_a_look_under_load_there_are_no_delays(database: Database) -> None:
    assert not any(isinstance(event, events.TaskDelays) for event in database.finish())


def test_triggers_are_told_when_their_owner_changes(database: Database, cluster: Sessions) -> None:
    owned = events.TriggerOwnerChanged(trigger=1, callback=False, owner="triggerer-1")
    unowned = events.TriggerOwnerChanged(trigger=2, callback=True, owner=None)
    assert [event for event in database.poll() if isinstance(event, events.TriggerOwnerChanged)] == [owned, unowned]
    with psycopg.connect(cluster.dsn("test")) as connection:
        connection.execute("UPDATE trigger SET triggerer_id = 7 WHERE id = 2")
    changed = events.TriggerOwnerChanged(trigger=2, callback=True, owner="triggerer-1")
    assert list(database._triggers()) == [changed, events.TriggersOwned(owned={"triggerer-1": 1})]


def test_a_restart_of_the_server_hides_nothing(
    cluster: Sessions, server: Postgres, log: PostgresLog, database: Database
) -> None:
    file = cluster.postgres_log.stat()
    cluster.deadlock()
    list(database.poll())
    server.restart()
    assert cluster.postgres_log.stat().st_ino == file.st_ino
    cluster.close()
    cluster.deadlock()
    assert len(deadlocks(log)) == 2  # the first was logged before the restart, and was not read until now
    list(database.finish())
    counted = [event.deadlocks for event in database.finish() if isinstance(event, events.DatabaseSampled)]
    assert counted == [2]  # a fast shutdown keeps the statistics


def test_missed_deadlines_of_3_1_are_those_whose_callback_has_a_state(cluster: Sessions) -> None:
    with psycopg.connect(cluster.dsn("test")) as connection:
        connection.execute("ALTER TABLE deadline DROP COLUMN missed, ADD COLUMN callback_state text")
        connection.execute("UPDATE deadline SET callback_state = 'queued' WHERE id = 2")
    database = Database(cluster)
    database.start()
    assert events.DeadlinesMissed(deadlines=["2"]) in list(database.finish())
    database.close()


def test_a_server_that_is_not_there_is_lost(tmp_path: Path) -> None:
    nowhere = PaperCluster(tmp_path / "cluster", "postgresql://127.0.0.1:1/nothing")
    with pytest.raises(SourceLost, match="the database can't be reached"):
        Database(nowhere).start()
