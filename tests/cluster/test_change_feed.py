"""The change feed of a real server: known transactions of several sessions come back exactly, in commit order."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stress import events
from stress.cluster.postgres import Postgres
from stress.events import RowChange, TransactionCommitted
from stress.observers.feed import observer
from stress.observers.feed.observer import ChangeFeed
from stress.observers.feed.server import PUBLICATION
from stress.observers.tail import SourceLost
from tests.timing import wait_for
from tests.unit.clusters import PaperCluster

# As much of Airflow's tables as the test changes, with columns of interest and others. `hostname` is stored out of line
# when it is long (TOAST).
TABLES = """
CREATE TABLE task_instance (id uuid PRIMARY KEY, dag_id text, state text, hostname text, updated_at timestamptz);
ALTER TABLE task_instance ALTER hostname SET STORAGE EXTERNAL;
CREATE TABLE asset_dag_run_queue (asset_id int, target_dag_id text, created_at timestamptz,
    PRIMARY KEY (asset_id, target_dag_id));
CREATE TABLE slot_pool (id int PRIMARY KEY, pool text, slots int, include_deferred boolean NOT NULL);
CREATE TABLE trigger (id int, classpath text);
CREATE TABLE log (id serial PRIMARY KEY, event text);
INSERT INTO slot_pool VALUES (1, 'default_pool', 128, false);
INSERT INTO task_instance VALUES ('00000000-0000-0000-0000-00000000000a', 'early', 'running', repeat('x', 9000));
"""
LONG = "x" * 9000

_numbers = itertools.count()


def ti(digit: str) -> str:
    """The id of a task instance."""
    return f"00000000-0000-0000-0000-00000000000{digit}"


class Database(PaperCluster):
    """A block's database; components are sessions with their names."""

    def __init__(self, directory: Path, server: Postgres) -> None:
        super().__init__(directory)
        self.server = server
        self._name = f"block_{next(_numbers)}"
        self._sessions: dict[str, psycopg.Connection] = {}
        server.create_database(self._name)
        with psycopg.connect(self.dsn("setup")) as connection:
            connection.execute(TABLES)

    @property
    def database(self) -> str:
        return self._name

    def dsn(self, application_name: str = "observer") -> str:
        return self.server.dsn(self._name, application_name)

    def session(self, component: str) -> psycopg.Connection:
        """A connection that stays open, as in Airflow's pools."""
        if component not in self._sessions:
            self._sessions[component] = psycopg.connect(self.dsn(component))
        return self._sessions[component]

    def reconnect(self) -> None:
        """Forget the sessions that a restart of the server has ended."""
        while self._sessions:
            self._sessions.popitem()[1].close()

    def close(self) -> None:
        """Close the sessions and remove the database."""
        self.reconnect()
        self.server.drop_database(self._name)


@pytest.fixture
def database(server: Postgres, tmp_path: Path) -> Iterator[Database]:
    """A database of the test's own."""
    database = Database(tmp_path / "cluster", server)
    yield database
    database.close()


@pytest.fixture(name="feed")
def begun(database: Database) -> Iterator[ChangeFeed]:
    """A feed that has begun, with its first look taken."""
    feed = ChangeFeed(database)
    feed.start()
    yield feed
    feed.close()


def transactions(found: Iterator[events.AnyEvent]) -> list[TransactionCommitted]:
    return [event for event in found if isinstance(event, TransactionCommitted)]


def changes(found: Iterator[events.AnyEvent]) -> list[tuple[str, tuple[RowChange, ...]]]:
    """Writer and changes of each transaction."""
    return [(each.writer, each.changes) for each in transactions(found)]


def change(op: str, digit: str, **columns: str | None) -> RowChange:
    """A change of a task instance."""
    assert op in {"insert", "update", "delete"}
    return RowChange("task_instance", op, (ti(digit),), columns)  # type: ignore[arg-type]


def test_the_feed_begins_with_the_rows_that_are_there_in_the_form_of_its_changes(
    database: Database, feed: ChangeFeed
) -> None:
    database.session("api-server").execute("UPDATE slot_pool SET include_deferred = true")
    database.session("api-server").commit()
    first, second = transactions(iter([*feed.poll(), *feed.finish()]))
    early: dict[str, str | None] = {"id": ti("a"), "dag_id": "early", "state": "running", "hostname": LONG}
    pool: dict[str, str | None] = {"id": "1", "pool": "default_pool", "slots": "128", "include_deferred": "f"}
    assert (first.xid, first.writer) == (0, "")
    assert first.changes == (RowChange("slot_pool", "insert", ("1",), pool), change("insert", "a", **early))
    assert second.changes == (RowChange("slot_pool", "update", ("1",), {"include_deferred": "t"}),)
    assert second.lsn >= first.lsn


def test_transactions_of_several_sessions_come_back_exactly_in_commit_order(
    database: Database, feed: ChangeFeed
) -> None:
    one, two, three = (database.session(name) for name in ("scheduler-1", "scheduler-2", "api-server"))
    list(feed.poll())
    # Interleaved: the second begins later and commits first. The third is rolled back.
    one.execute("INSERT INTO task_instance VALUES (%s, 'd', 'queued', %s, now())", (ti("1"), LONG))
    two.execute("INSERT INTO task_instance VALUES (%s, 'd', NULL, 'h', now())", (ti("2"),))
    three.execute("INSERT INTO task_instance VALUES (%s, 'd', 'lost', 'h', now())", (ti("3"),))
    two.execute("UPDATE task_instance SET state = 'scheduled' WHERE id = %s", (ti("2"),))
    two.commit()
    # A subtransaction that is rolled back, and one that is kept.
    with one.transaction(force_rollback=True):
        one.execute("UPDATE task_instance SET state = 'failed' WHERE id = %s", (ti("2"),))
    with one.transaction():
        one.execute("UPDATE task_instance SET state = 'running' WHERE id = %s", (ti("1"),))
    three.rollback()
    one.commit()
    # A large value that an update does not touch is not sent. A clear changes the key. Nothing of interest changes.
    three.execute("UPDATE task_instance SET state = 'success' WHERE id = %s", (ti("1"),))
    three.execute("UPDATE task_instance SET id = %s, state = NULL WHERE id = %s", (ti("4"), ti("1")))
    three.execute("UPDATE task_instance SET updated_at = now()")
    three.commit()
    three.execute("UPDATE task_instance SET updated_at = now()")
    three.execute("INSERT INTO log (event) VALUES ('nothing of interest')")
    three.execute("INSERT INTO trigger VALUES (1, 'a table without a primary key')")
    three.commit()
    one.execute("INSERT INTO asset_dag_run_queue VALUES (7, 'd', NULL), (7, 'e', NULL)")
    one.execute("DELETE FROM asset_dag_run_queue WHERE target_dag_id = 'd'")
    one.execute("DELETE FROM task_instance WHERE id = %s", (ti("4"),))
    one.commit()
    two.execute("TRUNCATE task_instance")
    two.commit()
    found = list(feed.finish())
    queue = {"asset_id": "7", "created_at": None}
    assert changes(iter(found)) == [
        (
            "scheduler-2",
            (
                change("insert", "2", id=ti("2"), dag_id="d", state=None, hostname="h"),
                change("update", "2", state="scheduled"),
            ),
        ),
        (
            "scheduler-1",
            (
                change("insert", "1", id=ti("1"), dag_id="d", state="queued", hostname=LONG),
                change("update", "1", state="running"),
            ),
        ),
        ("api-server", (change("update", "1", state="success"), change("update", "1", id=ti("4"), state=None))),
        (
            "scheduler-1",
            (
                RowChange("asset_dag_run_queue", "insert", ("7", "d"), {**queue, "target_dag_id": "d"}),
                RowChange("asset_dag_run_queue", "insert", ("7", "e"), {**queue, "target_dag_id": "e"}),
                RowChange("asset_dag_run_queue", "delete", ("7", "d")),
                change("delete", "4"),
            ),
        ),
        ("scheduler-2", (change("delete", "a"), change("delete", "2"))),
    ]
    lsns = [each.lsn for each in transactions(iter(found))]
    assert lsns == sorted(set(lsns))
    ended = found[-1]
    assert isinstance(ended, events.FeedEnded)
    assert (ended.transactions, ended.changes) == (6, 14)


def test_a_transaction_names_its_writer_once_and_again_after_a_savepoint_that_was_rolled_back(
    database: Database, feed: ChangeFeed
) -> None:
    list(feed.poll())
    session = database.session("scheduler-1")
    session.execute("SELECT pg_create_logical_replication_slot('of_the_test', 'pgoutput')")
    session.commit()
    for _ in range(2):
        with session.transaction(force_rollback=True):
            session.execute("UPDATE task_instance SET state = 'failed'")
        for state in ("queued", "running", "success"):
            session.execute("UPDATE task_instance SET state = %s", (state,))
        session.commit()
    found = changes(feed.finish())
    assert [(writer, len(changed)) for writer, changed in found] == [("scheduler-1", 3)] * 2
    arguments = ("proto_version", "publication_names", PUBLICATION, "messages")
    messages = "SELECT 1 FROM pg_logical_slot_peek_binary_changes('of_the_test', NULL, NULL, %s, '1', %s, %s, %s, 'on')"
    rows = session.execute(f"{messages} WHERE get_byte(data, 0) = ascii('M')", arguments).fetchall()
    session.rollback()
    # One for each transaction, and the observer's mark.
    assert len(rows) == 3


def test_a_statement_that_changes_nothing_gives_its_transaction_no_id(database: Database, feed: ChangeFeed) -> None:
    list(feed.poll())
    session = database.session("scheduler-1")
    session.execute("UPDATE task_instance SET state = 'queued' WHERE state = 'no such state'")
    (assigned,) = session.execute("SELECT pg_current_xact_id_if_assigned()").fetchone() or (1,)
    assert assigned is None


def test_the_server_refuses_no_update_of_a_published_table(database: Database, feed: ChangeFeed) -> None:
    published = database.session("api-server").execute(
        "SELECT tablename FROM pg_publication_tables WHERE pubname = %s ORDER BY 1", (PUBLICATION,)
    )
    assert [row[0] for row in published] == ["asset_dag_run_queue", "slot_pool", "task_instance"]
    list(feed.poll())


def slots(database: Database) -> list[str]:
    """The server's replication slots."""
    with psycopg.connect(database.server.dsn("postgres", "setup"), autocommit=True) as connection:
        return [row[0] for row in connection.execute("SELECT slot_name FROM pg_replication_slots")]


def test_a_feed_s_slot_ends_with_the_feed(database: Database, feed: ChangeFeed) -> None:
    assert slots(database) == [f"airflow_stress_{database.database}"]
    feed.close()
    assert slots(database) == []


@pytest.mark.usefixtures("feed")
def test_a_feed_that_is_read_does_not_hold_up_the_removal_of_its_database(database: Database) -> None:
    database.server.drop_database(database.database)
    assert slots(database) == []


def test_the_slot_of_a_killed_run_is_removed_by_the_next_feed(database: Database) -> None:
    with psycopg.connect(database.dsn("setup"), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_create_logical_replication_slot('airflow_stress_block_of_a_killed_run', 'pgoutput')"
        )
        connection.execute("SELECT pg_create_logical_replication_slot('of_others', 'pgoutput')")
    feed = ChangeFeed(database)
    feed.start()
    assert sorted(slots(database)) == sorted([f"airflow_stress_{database.database}", "of_others"])
    feed.close()
    assert slots(database) == ["of_others"]


def test_a_restart_of_the_server_leaves_no_gap(database: Database, feed: ChangeFeed) -> None:
    found = list(feed.poll())
    insert = "INSERT INTO task_instance VALUES (%s, 'd', 'queued', NULL, now())"
    database.session("scheduler-1").execute(insert, (ti("1"),))
    database.session("scheduler-1").commit()
    database.session("scheduler-1").execute(insert, (ti("2"),))  # aborted by the restart
    database.server.restart()
    database.reconnect()
    database.session("scheduler-1").execute("UPDATE task_instance SET state = 'running'")
    database.session("scheduler-1").commit()
    found += feed.finish()
    running = tuple(change("update", digit, state="running") for digit in ("1",))
    assert changes(iter(found))[1:] == [
        ("scheduler-1", (change("insert", "1", id=ti("1"), dag_id="d", state="queued", hostname=None),)),
        ("scheduler-1", running),
    ]


def test_restarts_under_load_lose_no_commit_and_repeat_none(database: Database, feed: ChangeFeed) -> None:
    ended = threading.Event()

    def write(component: str) -> None:
        while not ended.is_set():
            # The restart ends sessions, and refuses new ones for a moment.
            with contextlib.suppress(psycopg.Error), psycopg.connect(database.dsn(component)) as connection:
                while not ended.is_set():
                    connection.execute("UPDATE slot_pool SET slots = slots + 1")
                    connection.commit()

    def read_on(count: int) -> bool:
        found.extend(feed.poll())
        return len(found) >= count

    writers = [threading.Thread(target=write, args=(f"scheduler-{number}",)) for number in (1, 2)]
    for writer in writers:
        writer.start()
    found = list(feed.poll())
    for _ in range(3):
        wait_for(functools.partial(read_on, len(found) + 50), 20, "50 more commits")
        database.server.restart()
    ended.set()
    for writer in writers:
        writer.join(20)
    found += feed.finish()
    (slots,) = database.session("api-server").execute("SELECT slots FROM slot_pool").fetchone() or (0,)
    read = [each.changes[0].columns["slots"] for each in transactions(iter(found))[1:]]
    assert read == [str(number) for number in range(129, slots + 1)]


def server_process(database: Database) -> int:
    """The process id of the server's end of the feed."""
    with psycopg.connect(database.server.dsn("postgres", "setup")) as connection:
        row = connection.execute("SELECT active_pid FROM pg_replication_slots").fetchone()
    assert row is not None
    return int(row[0])


def lost(feed: ChangeFeed) -> str:
    """Look until the feed says that it is lost."""
    reasons: list[str] = []

    def looked() -> bool:
        try:
            list(feed.poll())
        except SourceLost as error:
            reasons.append(str(error))
        return bool(reasons)

    wait_for(looked, 20, "the feed to be lost")
    return reasons[0]


def test_a_killed_connection_is_blindness_after_what_came_before_it(database: Database, feed: ChangeFeed) -> None:
    list(feed.poll())
    with psycopg.connect(database.server.dsn("postgres", "setup"), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (server_process(database),))
    assert "the feed's connection was lost" in lost(feed)
    with pytest.raises(SourceLost):
        list(feed.finish())


@contextlib.contextmanager
def stopped(database: Database) -> Iterator[None]:
    """The server's end of the feed stands still."""
    process = server_process(database)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_feed_that_lags_beyond_its_bound_is_blindness(database: Database) -> None:
    now = [1000.0]
    feed = ChangeFeed(database, clock=lambda: now[0])
    feed.start()

    def look(later_s: float) -> None:
        now[0] += later_s
        list(feed.poll())

    with stopped(database):
        look(0.0)
        look(3600.0)  # a machine that stood still is not a feed that lags: this counts as 2 s
        for _ in range(int((observer.LAG_BOUND_S - 2.0) / 0.5)):
            look(0.5)
        with pytest.raises(SourceLost, match="the feed is more than 20 s behind the server"):
            look(0.5)
    feed.close()


def test_a_slot_that_another_feed_holds_is_blindness(database: Database, feed: ChangeFeed) -> None:
    list(feed.poll())
    second = ChangeFeed(database)
    with pytest.raises(SourceLost, match="already exists"):
        second.start()
    second.close()
