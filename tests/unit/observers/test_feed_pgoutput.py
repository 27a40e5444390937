"""Messages of `pgoutput`: those that a real server sent are read exactly, and nothing else is read at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress.observers.feed.pgoutput import (
    UNCHANGED,
    Begin,
    Column,
    Commit,
    Delete,
    Emitted,
    Ignored,
    Insert,
    MalformedMessage,
    Message,
    Relation,
    Truncate,
    Update,
    decode,
)
from tests.unit.observers.record_pgoutput import RECORDED

MESSAGES = tuple(bytes.fromhex(line) for line in RECORDED.read_text().splitlines())
"""What PostgreSQL 16.14 sent for the transactions of `record_pgoutput.py`."""

LONG = "x" * 3000


FAULT = r"^$|^a message (of the feed is|b'.+' of the feed is malformed: )"


def fault(message: bytes) -> str:
    """What is wrong with a message; empty if it can be read."""
    try:
        decode(message)
    except MalformedMessage as error:
        return str(error)
    return ""


def recorded(kind: bytes) -> list[Message]:
    return [decode(message) for message in MESSAGES if message[:1] == kind]


def test_the_recording_has_every_kind_of_message() -> None:
    assert {message[:1] for message in MESSAGES} == {b"B", b"C", b"D", b"I", b"M", b"O", b"R", b"T", b"U", b"Y"}


def test_a_transaction_has_its_id_its_position_and_the_time_of_its_commit() -> None:
    begins = [message for message in recorded(b"B") if isinstance(message, Begin)]
    commits = [message for message in recorded(b"C") if isinstance(message, Commit)]
    assert begins[0] == Begin(lsn=0x187A2B8, at=1795629885.929915, xid=733)
    assert [(each.lsn, each.at) for each in begins] == [(each.lsn, each.at) for each in commits]
    assert all(each.end_lsn > each.lsn for each in commits)


def test_a_table_has_its_columns_and_its_key() -> None:
    ti, queue, again, _ = recorded(b"R")
    columns = (Column("id", True), Column("state", False), Column("note", False), Column("mood", False))
    assert ti == Relation(16391, "public", "ti", columns)
    assert queue == Relation(16398, "public", "queue", (Column("asset", True), Column("dag", True)))
    assert again == ti


def test_changes_have_their_rows() -> None:
    ti, queue = 16391, 16398
    assert recorded(b"I") == [
        Insert(ti, ("1", "queued", LONG, "calm")),
        Insert(ti, ("2", None, "grün", None)),
        Insert(queue, ("7", "d")),
    ]
    assert recorded(b"U") == [
        Update(ti, None, ("1", "running", UNCHANGED, "calm")),
        Update(ti, ("2", None, None, None), ("3", None, "grün", None)),
        Update(ti, None, ("1", "running", UNCHANGED, "wild")),
    ]
    assert recorded(b"D") == [Delete(queue, ("7", "d"))]
    assert recorded(b"T") == [Truncate((ti, queue))]


def test_messages_of_sessions_come_inside_and_outside_of_transactions() -> None:
    within, without = recorded(b"M")
    assert within == Emitted(True, 0x187A4C0, "in", b"side")
    assert without == Emitted(False, 0x187A610, "out", b"side")


def test_types_and_origins_say_nothing_about_rows() -> None:
    assert recorded(b"Y") + recorded(b"O") == [Ignored()] * 4


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message[:1].decode())
def test_every_truncation_of_a_message_is_malformed(message: bytes) -> None:
    # A long value is cut at its ends only.
    lengths = [*range(min(len(message), 120)), *range(max(len(message) - 40, 120), len(message))]
    for length in lengths:
        with pytest.raises(MalformedMessage):
            decode(message[:length])


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message[:1].decode())
def test_bytes_after_a_message_are_malformed(message: bytes) -> None:
    with pytest.raises(MalformedMessage, match="1 bytes follow its end"):
        decode(message + b"\0")


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(MalformedMessage, match="unknown kind b'Z'"):
        decode(b"Z")


@given(message=st.sampled_from(MESSAGES), place=st.integers(0, 200), byte=st.integers(0, 255))
def test_a_changed_byte_is_another_message_or_malformed(message: bytes, place: int, byte: int) -> None:
    changed = bytearray(message)
    changed[place % len(message)] = byte
    assert re.match(FAULT, fault(bytes(changed)))


@given(kind=st.sampled_from(b"BCDIMORTUY"), rest=st.binary(max_size=200))
def test_arbitrary_bytes_are_a_message_or_malformed(kind: int, rest: bytes) -> None:
    assert re.match(FAULT, fault(bytes([kind]) + rest))


def test_a_huge_count_ends_at_the_message_s_end() -> None:
    with pytest.raises(MalformedMessage, match="it ends inside"):
        decode(b"T" + (2**31 - 1).to_bytes(4) + b"\0" + bytes(8))
    with pytest.raises(MalformedMessage, match="announces -1 parts"):
        decode(b"I" + bytes(4) + b"N" + b"\xff\xff")
