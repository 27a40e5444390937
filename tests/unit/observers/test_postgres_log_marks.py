"""The marks by which an observer of the server's log knows that it still sees it, and what it does without them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from stress import events
from stress.observers.connection import PATIENCE_S
from stress.observers.postgres_log import MARK_INTERVAL_S, MARK_TIMEOUT_S, PostgresLog
from stress.observers.tail import SourceLost
from tests.unit.clusters import PaperCluster
from tests.unit.observers.played_server import OF_TWO, Clock, Server, deadlocks


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


def test_a_log_that_shows_nothing_is_lost_within_ten_seconds(
    observer: PostgresLog, server: Server, clock: Clock
) -> None:
    def ten_seconds() -> None:
        for _ in range(10):
            clock.now += 1.0
            list(observer.poll())

    server.writes = False
    with pytest.raises(SourceLost, match="did not show our mark"):
        ten_seconds()


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
