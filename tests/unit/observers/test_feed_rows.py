"""Messages become transactions with the columns that changed; what does not follow from what was before is a gap."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stress.events import RowChange, TransactionCommitted
from stress.observers.feed.pgoutput import (
    UNCHANGED,
    Begin,
    Column,
    Commit,
    Delete,
    Emitted,
    Insert,
    Message,
    Relation,
    Truncate,
    Update,
)
from stress.observers.feed.rows import WRITER_PREFIX, Assembler, FeedGap, Mark, Table

TI = Table("task_instance", ("id", "state", "hostname"), ("id",))
QUEUE = Table("asset_dag_run_queue", ("asset_id", "created_at", "target_dag_id"), ("asset_id", "target_dag_id"))

DESCRIBED = Relation(
    1, "public", "task_instance", (Column("id", True), Column("state", False), Column("hostname", False))
)
DESCRIBED_QUEUE = Relation(
    2,
    "public",
    "asset_dag_run_queue",
    (Column("asset_id", True), Column("created_at", False), Column("target_dag_id", True)),
)


@pytest.fixture
def assembler() -> Assembler:
    """One that begins with one task instance and knows its tables."""
    assembler = Assembler((TI, QUEUE), "mark of this feed")
    first = assembler.begin(10, 1.5, {"task_instance": [("a", "queued", "h")]})
    row: dict[str, str | None] = {"id": "a", "state": "queued", "hostname": "h"}
    inserted = RowChange("task_instance", "insert", ("a",), row)
    assert first == TransactionCommitted(xid=0, lsn=10, at=1.5, writer="", changes=(inserted,))
    assert assembler.take(DESCRIBED) is None
    assert assembler.take(DESCRIBED_QUEUE) is None
    return assembler


def committed(assembler: Assembler, *messages: Message, lsn: int = 20) -> TransactionCommitted | None:
    """A transaction of these messages."""
    for message in (Begin(lsn, 2.5, 7), *messages):
        assert assembler.take(message) is None
    done = assembler.take(Commit(lsn, lsn + 1, 2.5))
    assert not isinstance(done, Mark)
    return done


def changes(assembler: Assembler, *messages: Message) -> Sequence[RowChange]:
    done = committed(assembler, *messages)
    return done.changes if done is not None else ()


def test_an_update_has_only_the_columns_that_changed(assembler: Assembler) -> None:
    found = changes(assembler, Update(1, None, ("a", None, "h")), Update(1, None, ("a", None, "i")))
    assert found == (
        RowChange("task_instance", "update", ("a",), {"state": None}),
        RowChange("task_instance", "update", ("a",), {"hostname": "i"}),
    )


def test_a_value_that_was_not_sent_is_the_one_before(assembler: Assembler) -> None:
    found = changes(assembler, Update(1, None, ("a", "running", UNCHANGED)), Update(1, None, ("a", "running", "h")))
    assert found == (RowChange("task_instance", "update", ("a",), {"state": "running"}),)


def test_a_change_of_the_key_has_the_old_key_and_the_row_is_found_by_the_new_one(assembler: Assembler) -> None:
    found = changes(assembler, Update(1, ("a", None, None), ("b", "queued", "h")), Delete(1, ("b", None, None)))
    assert found == (
        RowChange("task_instance", "update", ("a",), {"id": "b"}),
        RowChange("task_instance", "delete", ("b",)),
    )


def test_a_composite_key_is_in_the_order_of_the_columns(assembler: Assembler) -> None:
    found = changes(assembler, Insert(2, ("7", "now", "d")), Delete(2, ("7", None, "d")))
    assert [(each.op, each.key) for each in found] == [("insert", ("7", "d")), ("delete", ("7", "d"))]


def test_a_truncated_table_is_a_delete_of_each_row(assembler: Assembler) -> None:
    found = changes(assembler, Insert(1, ("b", None, None)), Truncate((1, 2)), Insert(1, ("a", None, None)))
    assert [(each.op, each.key) for each in found] == [
        ("insert", ("b",)),
        ("delete", ("a",)),
        ("delete", ("b",)),
        ("insert", ("a",)),
    ]


def test_the_session_that_wrote_is_named(assembler: Assembler) -> None:
    done = committed(assembler, Update(1, None, ("a", "running", "h")), Emitted(True, 1, WRITER_PREFIX, b"scheduler-1"))
    assert done is not None
    assert (done.writer, done.xid, done.lsn, done.at) == ("scheduler-1", 7, 20, 2.5)
    silent = committed(assembler, Update(1, None, ("a", "failed", "h")), lsn=30)
    assert silent is not None
    assert silent.writer == ""


def test_a_transaction_without_a_change_of_interest_is_left_out(assembler: Assembler) -> None:
    assert committed(assembler, Update(1, None, ("a", "queued", "h")), Emitted(True, 1, WRITER_PREFIX, b"x")) is None


def test_only_marks_of_this_feed_are_marks(assembler: Assembler) -> None:
    assert assembler.take(Begin(20, 2.5, 7)) is None
    assert assembler.take(Emitted(True, 1, "mark of another", b"3")) is None
    assert assembler.take(Emitted(True, 1, "mark of this feed", b"3")) == Mark("3")


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (
            [Begin(20, 2.5, 7), Update(1, None, ("z", None, None)), Commit(20, 21, 2.5)],
            "changes a row of task_instance that it never had",
        ),
        (
            [Begin(20, 2.5, 7), Delete(1, ("z", None, None)), Commit(20, 21, 2.5)],
            "changes a row of task_instance that it never had",
        ),
        ([Begin(20, 2.5, 7), Insert(9, ("a",)), Commit(20, 21, 2.5)], "a table 9 that it has not described"),
        ([Begin(20, 2.5, 7), Insert(1, ("a",)), Commit(20, 21, 2.5)], "a row of task_instance with 1 values"),
        (
            [Begin(20, 2.5, 7), Insert(1, ("a", UNCHANGED, None)), Commit(20, 21, 2.5)],
            "inserts a row of task_instance without a value",
        ),
        (
            [Begin(20, 2.5, 7), Delete(1, (None, None, None)), Commit(20, 21, 2.5)],
            "a row of task_instance without its id",
        ),
        ([Insert(1, ("b", None, None))], "a change outside of a transaction"),
        ([Begin(20, 2.5, 7), Begin(21, 2.5, 8)], "transaction 8 begins inside transaction 7"),
        ([Commit(20, 21, 2.5)], "a commit without a begin"),
        ([Begin(20, 2.5, 7), Commit(30, 31, 2.5)], "is at 1E, its begin says 14"),
        ([Begin(9, 2.5, 7), Commit(9, 11, 2.5)], "the commit before it is at 9"),
        ([Relation(3, "public", "xcom", ())], "the table xcom, which was not asked for"),
        ([Relation(1, "public", "task_instance", (Column("id", True),))], "the columns of task_instance have changed"),
    ],
)
def test_what_does_not_follow_is_a_gap(assembler: Assembler, messages: Sequence[Message], reason: str) -> None:
    *before, last = messages
    for message in before:
        assembler.take(message)
    with pytest.raises(FeedGap, match=reason):
        assembler.take(last)


def test_commits_at_one_position_are_a_gap(assembler: Assembler) -> None:
    committed(assembler, Insert(1, ("b", None, None)))
    with pytest.raises(FeedGap, match="the commit before it is at 14"):
        committed(assembler, Insert(1, ("c", None, None)))


def test_a_transaction_that_was_cut_off_changes_no_row_and_can_come_whole(assembler: Assembler) -> None:
    assembler.take(Begin(20, 2.5, 7))
    assembler.take(Update(1, None, ("a", "running", "h")))
    assembler.resume()
    assert assembler.last_lsn == 9
    found = changes(assembler, Update(1, None, ("a", "running", "h")))
    assert found == (RowChange("task_instance", "update", ("a",), {"state": "running"}),)
    assert assembler.last_lsn == 20
