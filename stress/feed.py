"""The feed files of a run: one a block, beside the journal.

    feed/0.jsonl        while the block lasts
    feed/0.jsonl.gz     when it has ended

The lines are those of a journal (`history.py`), with sequence numbers of their own, and each is one transaction. They
are not in the journal because there are many more of them than of other events: a reader that needs none of them reads
no feed file, and one that needs them reads a stream.

A killed harness leaves the file uncompressed. Both forms are read. gzip is in the standard library, and it decompresses
faster than the lines are parsed.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

from stress.events import TransactionCommitted
from stress.history import HistoryBroken, HistoryTorn, Journal, stream

DIRECTORY = "feed"
_COMPRESSED = ".gz"
_LEVEL = 6


class FeedBroken(Exception):  # noqa: N818 - it says what happened
    """The stored feed of a block is not whole, so that nothing can be concluded from it."""


class FeedFile:
    """Writes the feed of one block. There is no file before the first transaction."""

    def __init__(self, directory: Path, block: int) -> None:
        """`directory` is the run's."""
        self._block = block
        self._path = _path(directory, block)
        self._journal: Journal | None = None

    def append(self, transaction: TransactionCommitted) -> None:
        """Write one. Raises HistoryBroken."""
        if self._journal is None:
            self._path.parent.mkdir(exist_ok=True)
            self._journal = Journal(self._path)
        self._journal.append(transaction, self._block)

    def close(self) -> None:
        """The block has ended: compress the file. Raises HistoryBroken if there is no room for that; then the
        uncompressed file is still whole."""
        if self._journal is None:
            return
        self._journal.close()
        self._journal = None
        partial = self._path.with_name(f".{self._path.name}.partial")
        try:
            with self._path.open("rb") as source, gzip.open(partial, "wb", _LEVEL) as target:
                shutil.copyfileobj(source, target)
            partial.replace(_compressed(self._path))
            self._path.unlink()
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise HistoryBroken(f"cannot compress the feed {self._path}: {error}. Is the disk full?") from error


def transactions(directory: Path, block: int, expected: int | None = None) -> Iterator[TransactionCommitted]:
    """The stored transactions of a block, in commit order; none for a block without a feed.

    `expected` is how many there must be, None for a block that did not reach the end of its feed. Raises FeedBroken
    where the file is torn or holds another number, after what could be read.
    """
    path = _path(directory, block)
    if not path.exists():
        path = _compressed(path)
    found = 0
    try:
        if path.exists():
            for entry in stream(path):
                if not isinstance(entry.event, TransactionCommitted):
                    raise FeedBroken(f"line {entry.seq + 1} of {path.name} is no transaction")
                found += 1
                yield entry.event
    except HistoryTorn as error:
        raise FeedBroken(f"the feed ends early: {error}") from error
    if expected is not None and found != expected:
        raise FeedBroken(
            f"the feed of block {block} has {found} transactions, and {expected} were read from the server"
        )


def _path(directory: Path, block: int) -> Path:
    return directory / DIRECTORY / f"{block}.jsonl"


def _compressed(path: Path) -> Path:
    return path.with_name(path.name + _COMPRESSED)
