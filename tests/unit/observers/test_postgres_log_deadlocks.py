"""Deadlocks in the server's log: both sides, the victim, and whose they are not."""

from __future__ import annotations

import pytest

from stress.observers.postgres_log import PostgresLog
from stress.observers.tail import SourceLost
from tests.unit.clusters import PaperCluster
from tests.unit.observers.played_server import OF_THREE, OF_TWO, REFRESH, STATE_UPDATE, Clock, Server, deadlocks


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
