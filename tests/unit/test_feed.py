"""Feed files: a block's transactions come back as they were written, from both forms, or the feed is broken."""

from __future__ import annotations

import errno
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from stress import events, feed, history
from stress.checkers.view import BlockView
from stress.events import RowChange, TransactionCommitted
from stress.feed import FeedBroken, FeedFile
from stress.history import FILE_NAME, HistoryBroken, Journal, Recorder

SCHEDULED = tuple(
    TransactionCommitted(
        xid=700 + number,
        lsn=1000 + number,
        at=1.5 + number,
        writer="scheduler-1",
        changes=(RowChange("task_instance", "update", (f"ti-{number}",), {"state": None, "pool": "p"}),),
    )
    for number in range(4)
)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """The feed file of block 0, as a killed harness leaves it."""
    kept = FeedFile(tmp_path, 0)
    for transaction in SCHEDULED:
        kept.append(transaction)
    return tmp_path / "feed" / "0.jsonl"


@pytest.fixture
def compressed(tmp_path: Path) -> Path:
    """The feed file of block 0 when the block has ended."""
    kept = FeedFile(tmp_path, 0)
    for transaction in SCHEDULED:
        kept.append(transaction)
    kept.close()
    return tmp_path / "feed" / "0.jsonl.gz"


@pytest.mark.parametrize("form", ["plain", "compressed"])
def test_both_forms_have_the_transactions_in_their_order(
    form: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(form)
    assert [each.name for each in (tmp_path / "feed").iterdir()] == [path.name]
    assert tuple(feed.transactions(tmp_path, 0, expected=4)) == SCHEDULED
    assert tuple(feed.transactions(tmp_path, 1)) == ()


def test_a_block_without_transactions_has_no_file(tmp_path: Path) -> None:
    FeedFile(tmp_path, 0).close()
    assert list(tmp_path.iterdir()) == []


def read_as_far_as_possible(transactions: Iterator[TransactionCommitted]) -> list[TransactionCommitted]:
    """What comes before the break."""
    found: list[TransactionCommitted] = []
    with pytest.raises(FeedBroken):
        found.extend(transactions)
    return found


def test_every_truncation_of_the_plain_form_is_a_shorter_feed_and_broken(plain: Path, tmp_path: Path) -> None:
    whole = plain.read_bytes()
    for length in range(len(whole)):
        plain.write_bytes(whole[:length])
        found = read_as_far_as_possible(feed.transactions(tmp_path, 0, expected=4))
        assert tuple(found) == SCHEDULED[: whole[:length].count(b"\n")]


def test_every_truncation_of_the_compressed_form_is_broken(compressed: Path, tmp_path: Path) -> None:
    whole = compressed.read_bytes()
    for length in range(len(whole)):
        compressed.write_bytes(whole[:length])
        found = read_as_far_as_possible(feed.transactions(tmp_path, 0, expected=4))
        assert tuple(found) == SCHEDULED[: len(found)]


def test_a_changed_byte_of_the_compressed_form_is_broken(compressed: Path, tmp_path: Path) -> None:
    text = gzip.decompress(compressed.read_bytes()).replace(b"ti-2", b"ti-9")
    compressed.write_bytes(gzip.compress(text))
    assert read_as_far_as_possible(feed.transactions(tmp_path, 0)) == list(SCHEDULED[:2])


def test_a_feed_with_too_few_transactions_is_broken(plain: Path, tmp_path: Path) -> None:
    assert plain.exists()
    with pytest.raises(FeedBroken, match="the feed of block 0 has 4 transactions, and 5 were read from the server"):
        list(feed.transactions(tmp_path, 0, expected=5))
    with pytest.raises(FeedBroken, match="the feed of block 1 has 0 transactions, and 1 were read"):
        list(feed.transactions(tmp_path, 1, expected=1))


def test_another_event_in_a_feed_file_is_broken(tmp_path: Path) -> None:
    (tmp_path / "feed").mkdir()
    Journal(tmp_path / "feed" / "0.jsonl").append(events.LoadStarted(), 0)
    with pytest.raises(FeedBroken, match=r"line 1 of 0\.jsonl is no transaction"):
        list(feed.transactions(tmp_path, 0))


def test_without_room_for_the_compressed_file_the_plain_one_stays(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = FeedFile(tmp_path, 1)
    kept.append(SCHEDULED[0])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("stress.feed.shutil.copyfileobj", full)
    with pytest.raises(HistoryBroken, match="Is the disk full"):
        kept.close()
    assert sorted(path.name for path in plain.parent.iterdir()) == ["0.jsonl", "1.jsonl"]
    assert list(feed.transactions(tmp_path, 1)) == [SCHEDULED[0]]


def test_transactions_go_to_the_feed_file_and_to_no_listener(tmp_path: Path) -> None:
    journal = Journal(tmp_path / FILE_NAME)
    heard: list[history.Entry] = []
    kept = FeedFile(tmp_path, 0)
    record = Recorder(journal, 0, (heard.append,), kept.append)
    ended = events.FeedEnded(transactions=1, changes=1, bytes=80, largest_lag_s=0.1)
    for event in (events.BlockStarted(arm="stock"), SCHEDULED[0], ended):
        record(event)
    assert [entry.event for entry in heard] == [events.BlockStarted(arm="stock"), ended]
    live = BlockView.in_run(tmp_path, 0, "stock", tuple(heard))
    assert list(live.transactions()) == [SCHEDULED[0]]
    kept.close()
    journal.close()
    stored = BlockView.of(history.read(tmp_path / FILE_NAME), 0)
    assert list(stored.transactions()) == [SCHEDULED[0]]
    (tmp_path / "feed" / "0.jsonl.gz").unlink()
    with pytest.raises(FeedBroken):
        list(stored.transactions())
