"""The journal: what was written is read back, and whatever happens to the file, only a true prefix is believed."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress import events, history
from stress.history import HistoryBroken, Journal, read

EVENTS: tuple[events.AnyEvent, ...] = (
    events.BlockStarted(arm="stock"),
    events.LoadStarted(),
    events.ObserverBlind(observer="postgres_log", reason='a text with ","crc":" and\na new line'),
    events.LoadStopped(seconds=1.5),
    events.BlockEnded(complete=True),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a few events."""
    path = tmp_path / "history.jsonl"
    write(path, EVENTS)
    return path


def write(path: Path, to_write: tuple[events.AnyEvent, ...]) -> None:
    journal = Journal(path)
    for event in to_write:
        journal.append(event, 3)
    journal.close()


def test_what_was_written_is_read_back(path: Path) -> None:
    found = read(path)
    assert [entry.event for entry in found.entries] == list(EVENTS)
    assert found.broken is None


def test_entries_are_numbered_and_placed(path: Path) -> None:
    assert [(entry.seq, entry.block) for entry in read(path).entries] == [(seq, 3) for seq in range(len(EVENTS))]


def test_an_appended_entry_is_what_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h")
    entry = journal.append(EVENTS[0], None)
    journal.close()
    assert read(tmp_path / "h").entries == (entry,)


def test_an_event_is_in_the_file_before_append_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h")
    journal.append(EVENTS[0], None)
    assert len(read(tmp_path / "h").entries) == 1
    journal.close()


def test_every_truncation_is_a_valid_shorter_history(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    entries = read(path).entries
    cut = tmp_path / "cut"
    cut.write_bytes(whole)
    for length in reversed(range(len(whole))):
        os.truncate(cut, length)
        complete_lines = whole[:length].count(b"\n")
        found = read(cut)
        assert found.entries == entries[:complete_lines], f"cut at {length}"
        ends_in_a_line = length > 0 and whole[length - 1 : length] != b"\n"
        assert (found.broken is not None) == ends_in_a_line, f"cut at {length}"


def test_no_flipped_bit_is_believed(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    entries = read(path).entries
    flipped = tmp_path / "flipped"
    flipped.write_bytes(whole)
    # One byte at a time, in place: a file system may flush each file that is truncated and written again.
    with flipped.open("r+b", buffering=0) as file:
        for offset, byte in enumerate(whole):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), offset)
                found = read(flipped)
                assert found.broken is not None, f"bit {bit} of byte {offset}"
                assert found.entries == entries[: len(found.entries)], f"bit {bit} of byte {offset}"
                assert len(found.entries) <= whole[: offset + 1].count(b"\n"), f"bit {bit} of byte {offset}"
            os.pwrite(file.fileno(), bytes([byte]), offset)
    assert flipped.read_bytes() == whole


@given(garbage=st.binary(max_size=300))
def test_garbage_is_never_an_event(tmp_path_factory: pytest.TempPathFactory, garbage: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage"
    path.write_bytes(garbage)
    assert read(path).entries == ()


def test_a_missing_line_ends_the_history(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))
    found = read(path)
    assert len(found.entries) == 1
    assert found.broken == "line 2 of history.jsonl has sequence 2"


def test_a_repeated_line_ends_the_history(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[0])
    assert len(read(path).entries) == 1


def test_the_break_says_which_line_and_why(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])
    assert read(path).broken == "line 5 of history.jsonl is torn"


def test_a_kind_from_a_newer_version_is_a_break_that_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fewer(history.Entry, frozen=True):
        event: events.BlockStarted

    monkeypatch.setattr(history, "Entry", Fewer)
    found = read(path)
    assert found.broken is not None
    assert "is not an event that this version knows" in found.broken


def test_an_empty_file_is_an_empty_history(tmp_path: Path) -> None:
    (tmp_path / "h").touch()
    assert read(tmp_path / "h") == history.History((), None)


def test_a_history_is_never_continued_in_place(path: Path) -> None:
    with pytest.raises(FileExistsError):
        Journal(path)


def test_blocks_are_told_in_order_and_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h")
    for block in (None, 0, 0, 1, 1, None, 2):
        journal.append(EVENTS[1], block)
    journal.close()
    assert list(read(tmp_path / "h").blocks()) == [0, 1, 2]


def test_the_entries_of_a_block_are_its_own(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h")
    for block in (None, 0, 1, 0):
        journal.append(EVENTS[1], block)
    journal.close()
    assert [entry.seq for entry in read(tmp_path / "h").of_block(0)] == [1, 3]


def test_lines_of_many_threads_are_whole_and_in_sequence(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h")
    begin = threading.Barrier(4, timeout=10)

    def write_many() -> None:
        begin.wait()
        for _ in range(50):
            journal.append(EVENTS[2], 0)

    threads = [threading.Thread(target=write_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    journal.close()
    found = read(tmp_path / "h")
    assert found.broken is None
    assert len(found.entries) == 200


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> int:
    """A disk that takes 200 bytes: the write that fills it is cut short, the next one fails, as Linux does it."""
    room = 200
    left = [room]
    real = os.write

    def write(file: int, data: bytes) -> int:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(file, data[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(os, "write", write)
    return room


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_breaks_the_history_loudly(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h")
    journal.append(EVENTS[0], 0)
    with pytest.raises(HistoryBroken, match=r"bytes were written. Is the disk full\?"):
        journal.append(EVENTS[0], 0)
    with pytest.raises(HistoryBroken, match="No space left on device"):
        journal.append(EVENTS[0], 0)
    journal.close()


@pytest.mark.usefixtures("small_disk")
def test_what_was_written_before_the_disk_was_full_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h")
    journal.append(EVENTS[0], 0)
    with pytest.raises(HistoryBroken):
        journal.append(EVENTS[0], 0)
    journal.close()
    found = read(tmp_path / "h")
    assert [entry.event for entry in found.entries] == [EVENTS[0]]
    assert found.broken == "line 2 of h is torn"


def test_a_device_without_room_breaks_the_history(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._file)
    os.close(full)
    with pytest.raises(HistoryBroken, match="No space left on device"):
        journal.append(EVENTS[0], 0)


def test_the_disk_is_synced_about_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    synced: list[float] = []
    monkeypatch.setattr("stress.history.time", SimpleNamespace(monotonic=lambda: now[0], time=lambda: now[0]))
    monkeypatch.setattr(os, "fdatasync", lambda _file: synced.append(now[0]))
    journal = Journal(tmp_path / "h")
    for now[0] in (100.2, 100.9, 101.0, 101.5, 102.1):
        journal.append(EVENTS[0], 0)
    journal.close()
    assert synced == [101.0, 102.1]


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h")
    journal.close()
    journal.close()


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h")
    journal.close()
    with pytest.raises(HistoryBroken, match="is closed"):
        journal.append(EVENTS[0], 0)


def test_an_event_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h")
    with pytest.raises(ValueError, match="LoadStopped is malformed"):
        journal.append(events.LoadStopped(seconds="a text"), 0)  # type: ignore[arg-type]
    journal.append(EVENTS[0], 0)
    journal.close()
    assert [entry.seq for entry in read(tmp_path / "h").entries] == [0]


def test_closing_syncs_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    Journal(tmp_path / "h").close()
    assert len(synced) == 1
