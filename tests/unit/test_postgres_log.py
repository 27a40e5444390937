"""The server's log as an observer of deadlocks reads it: records of PostgreSQL 16, and marks that must come back.

A server that answers is needed only to write marks; here one is played, whose log the tests write themselves.
`tests/cluster/test_observers.py` has the real one.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stress import events
from stress.observers import connection, postgres_log
from stress.observers.connection import PATIENCE_S
from stress.observers.postgres_log import MARK_INTERVAL_S, MARK_TIMEOUT_S, PostgresLog
from stress.observers.tail import SourceLost
from tests.unit.clusters import PaperCluster

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

    def execute(self, statement: bytes) -> Answer:
        if not self.answers:
            raise psycopg.OperationalError("the connection is closed")
        if statement.startswith(b"SELECT pid"):
            return Answer(list(self.sessions.items()))
        if statement.startswith(b"SELECT relname"):
            number = int(statement.rpartition(b" ")[2])
            return Answer([(self.relations[number],)] if number in self.relations else [])
        if self.writes:
            self.write({"dbname": "block_0", "pid": 1, "message": statement.decode().split("'")[1]})
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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The observer's time."""
    clock = Clock()
    monkeypatch.setattr(postgres_log, "time", clock)
    monkeypatch.setattr(connection, "time", clock)
    return clock


@pytest.fixture
def cluster(tmp_path: Path) -> PaperCluster:
    """A cluster on paper."""
    return PaperCluster(tmp_path)


@pytest.fixture
def server(cluster: PaperCluster, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that answers."""
    server = Server(cluster.postgres_log)
    monkeypatch.setattr(psycopg, "connect", server.connect)
    return server


@pytest.fixture
def observer(cluster: PaperCluster, server: Server, clock: Clock) -> Iterator[PostgresLog]:
    """An observer that has begun."""
    assert server.log.exists()
    assert clock.now
    observer = PostgresLog(cluster)
    observer.start()
    yield observer
    observer.close()


def deadlocks(observer: PostgresLog) -> list[events.DeadlockSeen]:
    return [event for event in observer.poll() if isinstance(event, events.DeadlockSeen)]


def test_a_deadlock_of_two_is_told_with_both_sides(observer: PostgresLog, server: Server) -> None:
    server.write(OF_TWO)
    (event,) = deadlocks(observer)
    assert [(side.pid, side.component, side.waits_for, side.signature) for side in event.sides] == [
        (23994, "api-server", "ShareLock on transaction 1023", "SELECT task_instance, dag_run FOR UPDATE"),
        (23622, "scheduler-1", "ShareLock on transaction 1075", "UPDATE task_instance SET dag_version_id"),
    ]


def test_a_deadlock_has_its_victim_its_context_and_its_time(observer: PostgresLog, server: Server) -> None:
    server.write(OF_TWO)
    (event,) = deadlocks(observer)
    assert (event.victim, event.context, event.at) == ("api-server", OF_TWO["context"], 1795249471.837)


def test_the_victim_s_statement_is_whole_where_the_detail_s_is_cut(observer: PostgresLog, server: Server) -> None:
    server.write(OF_TWO)
    assert deadlocks(observer)[0].sides[0].statement == STATE_UPDATE


def test_a_deadlock_of_three_is_told_with_all_sides(observer: PostgresLog, server: Server) -> None:
    server.write(OF_THREE)
    (event,) = deadlocks(observer)
    assert [(side.pid, side.component, side.statement) for side in event.sides] == [
        (23622, "scheduler-1", REFRESH),
        (23995, "api-server", STATE_UPDATE),
        (23990, "api-server", STATE_UPDATE),
    ]
    assert event.sides[1].waits_for == "AccessExclusiveLock on tuple (5,9) of relation dag_run"


def test_a_relation_that_is_gone_keeps_its_number(observer: PostgresLog, server: Server) -> None:
    server.relations.clear()
    server.write(OF_THREE)
    (event,) = deadlocks(observer)
    assert event.sides[1].waits_for == "AccessExclusiveLock on tuple (5,9) of relation 16841 of database 16384"


def test_a_long_statement_is_cut(observer: PostgresLog, server: Server) -> None:
    server.write(OF_TWO | {"statement": "SELECT " + "x" * 100_000})
    assert len(deadlocks(observer)[0].sides[0].statement) == 4000


def test_a_deadlock_of_another_database_is_another_block_s(observer: PostgresLog, server: Server) -> None:
    server.write(OF_TWO | {"dbname": "block_1"})
    assert deadlocks(observer) == []


def test_a_deadlock_is_told_once(observer: PostgresLog, server: Server) -> None:
    server.write(OF_TWO)
    assert [len(deadlocks(observer)) for _ in range(2)] == [1, 0]


def test_other_errors_are_no_deadlocks(observer: PostgresLog, server: Server) -> None:
    server.write(OF_TWO | {"message": "process 5 still waiting for ShareLock on transaction 7 after 100.1 ms"})
    assert deadlocks(observer) == []


def test_a_deadlock_before_the_start_is_another_block_s(cluster: PaperCluster, server: Server, clock: Clock) -> None:
    assert clock.now
    server.write(OF_TWO)
    observer = PostgresLog(cluster)
    observer.start()
    assert deadlocks(observer) == []


def test_a_session_that_is_gone_is_known_from_an_earlier_line(observer: PostgresLog, server: Server) -> None:
    server.sessions.clear()
    server.write({"dbname": "block_0", "pid": 23622, "application_name": "scheduler-2", "message": "still waiting"})
    server.write(OF_TWO)
    assert [side.component for side in deadlocks(observer)[0].sides] == ["api-server", "scheduler-2"]


def test_a_session_that_nobody_knows_is_unknown(observer: PostgresLog, server: Server) -> None:
    server.sessions.clear()
    server.write(OF_TWO)
    assert [side.component for side in deadlocks(observer)[0].sides] == ["api-server", "unknown"]


def test_a_line_that_is_not_json_is_not_passed_over(observer: PostgresLog, server: Server) -> None:
    with server.log.open("a") as file:
        file.write("2026-11-21 08:24:31.837 UTC [1] LOG: plain text\n")
    with pytest.raises(SourceLost, match="not JSON"):
        list(observer.poll())


def test_marks_that_come_back_are_no_events(observer: PostgresLog, clock: Clock) -> None:
    for _ in range(5):
        clock.now += MARK_INTERVAL_S
        assert list(observer.poll()) == []


def test_a_mark_that_does_not_come_back_in_time_is_a_lost_log(
    observer: PostgresLog, server: Server, clock: Clock
) -> None:
    clock.now += MARK_INTERVAL_S
    server.writes = False
    list(observer.poll())
    clock.now += MARK_TIMEOUT_S
    list(observer.poll())
    clock.now += 0.1
    with pytest.raises(SourceLost, match="the server log did not show our mark for 6 s"):
        list(observer.poll())


def test_a_harness_that_was_asleep_has_not_lost_the_log(observer: PostgresLog, clock: Clock) -> None:
    clock.now += MARK_INTERVAL_S
    list(observer.poll())
    clock.now += 10 * MARK_TIMEOUT_S
    assert list(observer.poll()) == []


def test_a_log_that_does_not_show_the_first_mark_is_lost(cluster: PaperCluster, server: Server, clock: Clock) -> None:
    assert clock.now
    server.writes = False
    with pytest.raises(SourceLost, match="did not show our mark"):
        PostgresLog(cluster).start()


def test_a_log_that_is_not_there_is_lost(cluster: PaperCluster, server: Server) -> None:
    server.log.unlink()
    with pytest.raises(SourceLost, match="can't be reached"):
        PostgresLog(cluster).start()


def test_a_log_that_is_moved_away_is_lost(observer: PostgresLog, server: Server) -> None:
    server.log.rename(server.log.with_name("elsewhere"))
    with pytest.raises(SourceLost, match="is not there"):
        list(observer.poll())


def test_a_server_that_stays_away_is_lost(observer: PostgresLog, server: Server, clock: Clock) -> None:
    clock.now += MARK_INTERVAL_S
    server.answers = False
    assert list(observer.poll()) == []
    clock.now += PATIENCE_S
    assert list(observer.poll()) == []
    clock.now += 0.1
    with pytest.raises(SourceLost, match="the database was away for 20 s: connection refused"):
        list(observer.poll())


def test_a_server_that_comes_back_in_time_is_marked_and_read_again(
    observer: PostgresLog, server: Server, clock: Clock
) -> None:
    for _ in range(3):  # what was away and came back is not held against it later
        clock.now += MARK_INTERVAL_S
        server.answers = False
        assert list(observer.poll()) == []
        clock.now += PATIENCE_S - 1
        server.answers = True
        assert list(observer.poll()) == []
    server.write(OF_TWO)
    assert len(deadlocks(observer)) == 1
    server.writes = False
    clock.now += MARK_INTERVAL_S
    list(observer.poll())
    clock.now += MARK_TIMEOUT_S + 0.1
    with pytest.raises(SourceLost, match="did not show our mark"):
        list(observer.poll())


def test_what_is_logged_while_the_server_goes_away_is_seen(observer: PostgresLog, server: Server, clock: Clock) -> None:
    server.write(OF_TWO)
    clock.now += MARK_INTERVAL_S
    server.answers = False
    assert len(list(observer.poll())) == 1


def test_the_last_look_waits_for_a_server_that_is_away(observer: PostgresLog, server: Server, clock: Clock) -> None:
    server.write(OF_TWO)
    server.answers = False
    before = clock.now
    assert seen_before_lost(observer.finish()) == 1
    assert PATIENCE_S < clock.now - before < PATIENCE_S + 1


def test_the_last_look_sees_what_was_logged_before_it(observer: PostgresLog, server: Server) -> None:
    server.write(OF_TWO)
    assert len(list(observer.finish())) == 1


def test_the_last_look_reads_as_far_as_its_own_mark(
    observer: PostgresLog, server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server's log comes late: it is written while the observer waits.
    server.writes = False
    late = itertools.count()

    def sleep(seconds: float) -> None:
        clock.now += seconds
        if next(late) == 3:
            server.write(OF_TWO)
            server.write({"dbname": "block_0", "pid": 1, "message": "airflow-stress mark block_0 1"})

    monkeypatch.setattr(clock, "sleep", sleep)
    assert len(list(observer.finish())) == 1


def test_a_last_mark_that_does_not_come_back_is_a_lost_log_but_what_was_seen_is_seen(
    observer: PostgresLog, server: Server
) -> None:
    server.write(OF_TWO)
    server.writes = False
    assert seen_before_lost(observer.finish()) == 1


def seen_before_lost(look: Iterator[events.AnyEvent]) -> int:
    """How many events came before the source was lost."""
    seen = 0
    try:
        for _ in look:
            seen += 1
    except SourceLost:
        return seen
    pytest.fail("the source was not lost")


# -- lock time-outs --------------------------------------------------------------------------------------------------


def ended(code: str, component: str = "api-server", second: int = 1, **fields: Any) -> dict[str, Any]:
    """The record of a statement that the server ended."""
    known = {
        "timestamp": f"2026-11-21 08:24:{second:02}.500 UTC",
        "dbname": "block_0",
        "pid": 23994,
        "error_severity": "ERROR",
        "state_code": code,
        "message": "canceling statement due to lock timeout",
        "statement": STATE_UPDATE,
        "application_name": component,
    }
    return known | fields


def lock_timeouts(observer: PostgresLog) -> list[events.LockTimeoutSeen]:
    return [event for event in observer.poll() if isinstance(event, events.LockTimeoutSeen)]


@pytest.mark.parametrize("code", ["55P03", "57014", "40001"])
def test_a_statement_that_was_ended_for_a_lock_is_told_with_its_kind(
    observer: PostgresLog, server: Server, code: str
) -> None:
    server.write(ended(code))
    (event,) = lock_timeouts(observer)
    assert (event.component, event.code, event.count) == ("api-server", code, 1)
    assert event.statement == "SELECT task_instance, dag_run FOR UPDATE"
    assert datetime.fromtimestamp(event.at, UTC).isoformat() == "2026-11-21T08:24:01.500000+00:00"


def test_statements_of_one_kind_are_one_event_with_their_number(observer: PostgresLog, server: Server) -> None:
    for second in range(1, 51):
        server.write(ended("55P03", second=second))
    server.write(ended("55P03", "scheduler-1"))
    server.write(ended("55P03", statement=REFRESH))
    found = lock_timeouts(observer)
    assert sorted((event.component, event.count) for event in found) == [
        ("api-server", 1),
        ("api-server", 50),
        ("scheduler-1", 1),
    ]
    assert lock_timeouts(observer) == []


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(ended("57014", "airflow-stress"), id="of ours"),
        pytest.param(ended("57014", "health"), id="of a health check"),
        pytest.param(ended("55P03", dbname="block_1"), id="of another block"),
        pytest.param(ended("23505"), id="for another reason"),
    ],
)
def test_a_statement_is_no_lock_time_out_of_airflow_if_it_was_ended(
    observer: PostgresLog, server: Server, record: dict[str, Any]
) -> None:
    server.write(record)
    assert lock_timeouts(observer) == []


def test_a_statement_of_a_session_that_has_no_name_is_its_process_s(observer: PostgresLog, server: Server) -> None:
    server.write(ended("23505", application_name="api-server"))
    server.write(ended("55P03", application_name=""))
    assert [event.component for event in lock_timeouts(observer)] == ["api-server"]
