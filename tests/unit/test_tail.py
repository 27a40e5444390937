"""Following a file: every complete line once, and never silence where the file is not what it was."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress.observers.tail import DirectoryTail, SourceLost, Tail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log with one line."""
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_lines_that_are_there_are_read(path: Path) -> None:
    assert Tail(path).lines() == [b"one"]


def test_a_line_is_read_once(path: Path) -> None:
    tail = Tail(path)
    tail.lines()
    assert tail.lines() == []


def test_lines_that_are_added_are_read(path: Path) -> None:
    tail = Tail(path)
    tail.lines()
    append(path, b"two\nthree\n")
    assert tail.lines() == [b"two", b"three"]


def test_reading_begins_at_the_offset(path: Path) -> None:
    append(path, b"two\n")
    assert Tail(path, offset=4).lines() == [b"two"]


def test_a_partial_line_waits_for_its_end(path: Path) -> None:
    tail = Tail(path)
    append(path, b"tw")
    assert tail.lines() == [b"one"]
    append(path, b"")
    assert tail.lines() == []
    append(path, b"o\n")
    assert tail.lines() == [b"two"]


@given(lines=st.lists(st.binary().map(lambda line: line.replace(b"\n", b""))), cuts=st.lists(st.integers(0, 400)))
def test_however_it_is_written_every_line_is_read_once_and_whole(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cuts: list[int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "growing"
    data = b"".join(line + b"\n" for line in lines)
    path.write_bytes(b"")
    tail = Tail(path)
    seen: list[bytes] = []
    places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    for begin, end in itertools.pairwise(places):
        append(path, data[begin:end])
        seen += tail.lines()
    assert seen == lines


def test_a_file_that_is_not_there_is_lost(tmp_path: Path) -> None:
    with pytest.raises(SourceLost, match="log is not there"):
        Tail(tmp_path / "log").lines()


def test_a_file_that_vanishes_is_lost(path: Path) -> None:
    tail = Tail(path)
    tail.lines()
    path.unlink()
    with pytest.raises(SourceLost, match="log is not there"):
        tail.lines()


def test_a_file_that_is_moved_away_and_made_anew_is_lost(path: Path) -> None:
    tail = Tail(path)
    tail.lines()
    path.rename(path.with_name("log.1"))
    path.write_bytes(b"one\ntwo\n")
    with pytest.raises(SourceLost, match="was replaced by another file"):
        tail.lines()


def test_a_file_that_shrinks_is_lost(path: Path) -> None:
    tail = Tail(path)
    tail.lines()
    os.truncate(path, 1)
    with pytest.raises(SourceLost, match="shrank from 4 to 1 bytes"):
        tail.lines()


def test_a_file_smaller_than_the_offset_is_lost(path: Path) -> None:
    with pytest.raises(SourceLost, match="shrank from 100 to 4 bytes"):
        Tail(path, offset=100).lines()


def test_what_can_t_be_read_is_lost(tmp_path: Path) -> None:
    with pytest.raises(SourceLost, match="can't be read"):
        Tail(tmp_path).lines()


def test_a_directory_that_is_not_made_yet_has_no_lines(tmp_path: Path) -> None:
    assert DirectoryTail(tmp_path / "receipts").lines() == []


def test_every_file_of_a_directory_is_followed(tmp_path: Path) -> None:
    tail = DirectoryTail(tmp_path)
    (tmp_path / "b").write_bytes(b"1\n")
    assert tail.lines() == [("b", b"1")]
    (tmp_path / "a").write_bytes(b"2\n")
    append(tmp_path / "b", b"3\n")
    assert sorted(tail.lines()) == [("a", b"2"), ("b", b"3")]


def test_only_files_of_the_prefix_are_followed(tmp_path: Path) -> None:
    (tmp_path / "actions.jsonl").write_bytes(b"1\n")
    (tmp_path / "other.jsonl").write_bytes(b"2\n")
    assert DirectoryTail(tmp_path).lines("actions") == [("actions.jsonl", b"1")]


def test_a_directory_that_vanishes_is_lost(tmp_path: Path) -> None:
    directory = tmp_path / "receipts"
    directory.mkdir()
    (directory / "a").write_bytes(b"1\n")
    tail = DirectoryTail(directory)
    tail.lines()
    directory.rename(tmp_path / "elsewhere")
    with pytest.raises(SourceLost, match="the directory receipts is not there any more"):
        tail.lines()


def test_a_file_that_vanishes_from_a_directory_is_lost(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n")
    tail = DirectoryTail(tmp_path)
    tail.lines()
    (tmp_path / "a").unlink()
    with pytest.raises(SourceLost, match="a is not there"):
        tail.lines()
