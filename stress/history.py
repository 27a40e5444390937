"""The journal: an append-only file of events, the single source of truth of a run.

One JSON object a line:

    {"seq":17,"t":1795248051.03,"block":2,"event":{"kind":"load_started"},"crc":"9c0f3a1e"}

`seq` counts from 0 without gaps, `t` is unix seconds of writing, `block` is null outside of blocks, and `crc` is the
CRC-32 (hex) of the line's bytes before `,"crc"`. Every event is handed to the operating system at once, so a killed
harness loses nothing that it had seen; the file is flushed to the disk once a second, so a machine that loses its power
loses at most that second.

Reading stops at the first line that is torn, corrupt or out of sequence: what follows a break may be incomplete, and
the break itself is reported. (The idea of a journal whose every truncation is a valid, shorter history is Jepsen's
store format.)
"""

from __future__ import annotations

import gzip
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from stress.events import AnyEvent, TransactionCommitted

FILE_NAME = "history.jsonl"
SYNC_INTERVAL_S = 1.0

_CRC_FIELD = b',"crc":"'


class Entry(msgspec.Struct, frozen=True):
    """One line: an event with its place in the history."""

    seq: int
    t: float
    block: int | None
    event: AnyEvent


class HistoryBroken(Exception):  # noqa: N818 - it says what happened
    """The history cannot be written any more, for example because the disk is full."""


class HistoryTorn(Exception):  # noqa: N818 - it says what happened
    """A stored history cannot be read beyond this place."""


class Journal:
    """Writes a history. Safe to use from several threads; the order of lines is the order of `seq`."""

    def __init__(self, path: Path) -> None:
        """Open a new file. Raises FileExistsError if there is one already: a history is never continued in place."""
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._lock = threading.Lock()
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Entry)
        self._seq = 0
        self._synced_at = time.monotonic()
        self._closed = False

    def append(self, event: AnyEvent, block: int | None) -> Entry:
        """Write one event and return it with its place. Raises HistoryBroken if it could not be written whole.

        Raises ValueError, and writes nothing, for an event that could not be read back (a number where a text belongs):
        reading stops at the first such line, and everything after it would be lost.
        """
        with self._lock:
            if self._closed:
                raise HistoryBroken(f"the history {self.path} is closed: nothing can be added to it")
            entry = Entry(self._seq, round(time.time(), 6), block, event)
            encoded = self._encoder.encode(entry)
            try:
                self._decoder.decode(encoded)
            except msgspec.MsgspecError as error:
                raise ValueError(f"an event of kind {type(event).__name__} is malformed: {error}") from error
            line = sealed(encoded)
            try:
                written = os.write(self._file, line)
                if written != len(line):
                    raise OSError(f"only {written} of {len(line)} bytes were written")
                if time.monotonic() - self._synced_at >= SYNC_INTERVAL_S:
                    os.fdatasync(self._file)
                    self._synced_at = time.monotonic()
            except OSError as error:
                raise HistoryBroken(f"cannot write the history {self.path}: {error}. Is the disk full?") from error
            self._seq += 1
            return entry

    def close(self) -> None:
        """Flush to the disk and close; further calls do nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                try:
                    os.fsync(self._file)
                finally:
                    os.close(self._file)


def sealed(encoded: bytes) -> bytes:
    """A JSON object as a line of a history: with its checksum and a newline."""
    body = encoded[:-1]
    return b'%b%b%08x"}\n' % (body, _CRC_FIELD, zlib.crc32(body))


Listener = Callable[[Entry], None]


class Recorder:
    """Appends to the journal for one block, and then hands the entry to each listener.

    With `feed`, a transaction of the change feed goes there instead, and to no listener: there are too many of them to
    be kept in memory.
    """

    def __init__(
        self,
        journal: Journal,
        block: int | None,
        listeners: Sequence[Listener] = (),
        feed: Callable[[TransactionCommitted], None] | None = None,
    ) -> None:
        self._journal = journal
        self.block = block
        self._listeners = tuple(listeners)
        self._feed = feed

    def __call__(self, event: AnyEvent) -> None:
        if isinstance(event, TransactionCommitted) and self._feed is not None:
            self._feed(event)
            return
        entry = self._journal.append(event, self.block)
        for listener in self._listeners:
            listener(entry)


@dataclass(frozen=True)
class History:
    """A history as read: its entries, and where and why reading stopped early, if it did."""

    entries: tuple[Entry, ...]
    broken: str | None
    directory: Path | None = field(default=None, compare=False)
    """Where it was read. The feed files of its blocks are there (`feed.py`)."""

    def of_block(self, block: int) -> tuple[Entry, ...]:
        """The entries of one block, in order."""
        return tuple(entry for entry in self.entries if entry.block == block)

    def blocks(self) -> Iterator[int]:
        """The numbers of the blocks that were started, in order."""
        seen = -1
        for entry in self.entries:
            if entry.block is not None and entry.block > seen:
                seen = entry.block
                yield seen


def read(path: Path) -> History:
    """Read a history up to its end or its first break. Raises FileNotFoundError."""
    entries: list[Entry] = []
    broken = None
    try:
        entries.extend(stream(path))
    except HistoryTorn as torn:
        broken = str(torn)
    return History(tuple(entries), broken, path.parent)


def stream(path: Path) -> Iterator[Entry]:
    """The lines of a history or a feed file, one at a time; a name that ends in `.gz` is decompressed.

    Raises FileNotFoundError, and HistoryTorn at the first break.
    """
    decoder = msgspec.json.Decoder(Entry)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        expected = 0
        try:
            for line in file:
                entry, fault = _parse(line, decoder)
                if entry is None:
                    raise HistoryTorn(f"line {expected + 1} of {path.name} {fault}")
                if entry.seq != expected:
                    raise HistoryTorn(f"line {expected + 1} of {path.name} has sequence {entry.seq}")
                expected += 1
                yield entry
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise HistoryTorn(f"{path.name} can't be decompressed after line {expected}: {error}") from error


def _parse(line: bytes, decoder: msgspec.json.Decoder[Entry]) -> tuple[Entry | None, str]:
    if not line.endswith(b'"}\n'):
        return None, "is torn"
    body, field, crc = line.rpartition(_CRC_FIELD)
    if not field or crc != b'%08x"}\n' % zlib.crc32(body):
        return None, "does not match its checksum"
    try:
        return decoder.decode(body + b"}"), ""
    except msgspec.MsgspecError as error:
        return None, f"is not an event that this version knows: {error}"
