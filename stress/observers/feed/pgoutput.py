"""The messages of PostgreSQL's output plugin `pgoutput`, protocol version 1, values in text form.

A pure function of bytes. Every malformed message raises `MalformedMessage`: one that is cut off, one with bytes left
over, one of an unknown kind, a value that is not UTF-8. The format is PostgreSQL's documentation, section "Logical
Replication Message Formats". Integers are big-endian, strings end with a zero byte.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

_EPOCH_S: Final = 946_684_800
"""2000-01-01 in unix seconds: the begin of PostgreSQL's time."""

_UINT8 = struct.Struct("!B")
_INT16 = struct.Struct("!h")
_INT32 = struct.Struct("!i")
_UINT32 = struct.Struct("!I")
_UINT64 = struct.Struct("!Q")
_BEGIN = struct.Struct("!QqI")
_COMMIT = struct.Struct("!BQQq")
_TEXT, _NULL, _UNCHANGED = b"tnu"
_length = _UINT32.unpack_from


class MalformedMessage(ValueError):  # noqa: N818 - it says what is wrong
    """Bytes that are no message of the protocol. The feed cannot be read any further."""


class Unchanged(Enum):
    """A large value that was stored out of line (TOAST) and that the update did not touch: it is not sent."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED

Value = str | None | Unchanged
Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Begin:
    """The begin of a committed transaction. `lsn` is that of its commit, `at` the commit's time (unix seconds)."""

    lsn: int
    at: float
    xid: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The end of the transaction that began last. `lsn` is that of the commit record, `end_lsn` that of its end."""

    lsn: int
    end_lsn: int
    at: float


@dataclass(frozen=True, slots=True)
class Column:
    """A published column. `key`: it is part of the replica identity, the primary key by default."""

    name: str
    key: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, described before its first change, and again after it was altered."""

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Insert:
    """A new row."""

    relation: int
    new: Row


@dataclass(frozen=True, slots=True)
class Update:
    """A changed row. `old` is there if the key changed: the former key, and NULL in all other columns."""

    relation: int
    old: Row | None
    new: Row


@dataclass(frozen=True, slots=True)
class Delete:
    """A removed row: its key, and NULL in all other columns."""

    relation: int
    old: Row


@dataclass(frozen=True, slots=True)
class Truncate:
    """All rows of some tables are gone."""

    relations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Emitted:
    """A message that a session wrote into the log by `pg_logical_emit_message`."""

    transactional: bool
    lsn: int
    prefix: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that says nothing about rows: the name of a type, or the origin of a replicated transaction."""


Message = Begin | Commit | Relation | Insert | Update | Delete | Truncate | Emitted | Ignored


class _Reader:
    """Reads a message from left to right."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 1  # the first byte is the kind

    def take(self, form: struct.Struct) -> tuple[int, ...]:
        """The fields of a fixed form."""
        try:
            fields = form.unpack_from(self._data, self._at)
        except struct.error as error:
            raise MalformedMessage(f"it ends inside a field of {form.size} bytes") from error
        self._at += form.size
        return fields

    def number(self, form: struct.Struct) -> int:
        """One integer."""
        return self.take(form)[0]

    def raw(self, length: int) -> bytes:
        """So many bytes."""
        end = self._at + length
        if length < 0 or end > len(self._data):
            raise MalformedMessage(f"it ends inside a value of {length} bytes")
        value = self._data[self._at : end]
        self._at = end
        return value

    def text(self) -> str:
        """A string up to its zero byte."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise MalformedMessage("it ends inside a string")
        value = _utf8(self._data[self._at : end])
        self._at = end + 1
        return value

    def mark(self, expected: bytes) -> bytes:
        """A byte that must be one of those expected."""
        value = self.raw(1)
        if value not in expected:
            raise MalformedMessage(f"it has {value!r} where one of {expected!r} belongs")
        return value

    def row(self) -> Row:
        """The values of a row. Almost all of a feed is read here, so the loop has no calls of our own and one check of
        the end: a value that reaches beyond it is cut, and then the place is behind the end."""
        data, at = self._data, self._at + 2
        values: list[Value] = []
        try:
            for _ in range(self._count(_INT16)):
                kind = data[at]
                if kind == _TEXT:
                    start = at + 5
                    at = start + _length(data, at + 1)[0]
                    values.append(data[start:at].decode())
                    continue
                if kind == _NULL:
                    values.append(None)
                elif kind == _UNCHANGED:
                    values.append(UNCHANGED)
                else:
                    raise MalformedMessage(f"it has {data[at : at + 1]!r} where a value begins")
                at += 1
        except (IndexError, struct.error) as error:
            raise MalformedMessage("it ends inside a row") from error
        except UnicodeDecodeError as error:
            raise MalformedMessage(f"a text in it is not UTF-8: {error}") from error
        if at > len(data):
            raise MalformedMessage("it ends inside a row")
        self._at = at
        return tuple(values)

    def _count(self, form: struct.Struct) -> int:
        count = self.number(form)
        if count < 0:
            raise MalformedMessage(f"it announces {count} parts")
        return count

    def columns(self) -> tuple[Column, ...]:
        """The columns of a relation."""
        found = []
        for _ in range(self._count(_INT16)):
            flags = self.number(_UINT8)
            found.append(Column(self.text(), bool(flags & 1)))
            self.raw(8)  # the type and its modifier
        return tuple(found)

    def oids(self) -> tuple[int, ...]:
        """Truncated relations. Their number stands before the options."""
        count = self._count(_INT32)
        self.raw(1)
        return tuple([self.number(_UINT32) for _ in range(count)])

    def end(self) -> None:
        """Nothing may be left."""
        left = len(self._data) - self._at
        if left:
            raise MalformedMessage(f"{left} bytes follow its end")


def decode(data: bytes) -> Message:
    """One message. Raises MalformedMessage."""
    if not data:
        raise MalformedMessage("a message of the feed is empty")
    kind = data[:1]
    parse = _PARSERS.get(kind)
    if parse is None:
        raise MalformedMessage(f"a message of the feed is of the unknown kind {kind!r}")
    reader = _Reader(data)
    try:
        message = parse(reader)
        reader.end()
    except MalformedMessage as error:
        raise MalformedMessage(f"a message {kind!r} of the feed is malformed: {error}") from error
    return message


def unix_time(microseconds: int) -> float:
    """PostgreSQL's time in unix seconds."""
    return _EPOCH_S + microseconds / 1_000_000


def _begin(reader: _Reader) -> Begin:
    lsn, at, xid = reader.take(_BEGIN)
    return Begin(lsn, unix_time(at), xid)


def _commit(reader: _Reader) -> Commit:
    _, lsn, end_lsn, at = reader.take(_COMMIT)
    return Commit(lsn, end_lsn, unix_time(at))


def _relation(reader: _Reader) -> Relation:
    oid, schema, name = reader.number(_UINT32), reader.text(), reader.text()
    reader.raw(1)  # which replica identity; the columns' flags say what it consists of
    return Relation(oid, schema, name, reader.columns())


def _insert(reader: _Reader) -> Insert:
    oid = reader.number(_UINT32)
    reader.mark(b"N")
    return Insert(oid, reader.row())


def _update(reader: _Reader) -> Update:
    oid = reader.number(_UINT32)
    old = None
    if reader.mark(b"KON") != b"N":
        old = reader.row()
        reader.mark(b"N")
    return Update(oid, old, reader.row())


def _delete(reader: _Reader) -> Delete:
    oid = reader.number(_UINT32)
    reader.mark(b"KO")
    return Delete(oid, reader.row())


def _truncate(reader: _Reader) -> Truncate:
    return Truncate(reader.oids())


def _emitted(reader: _Reader) -> Emitted:
    flags, lsn, prefix = reader.number(_UINT8), reader.number(_UINT64), reader.text()
    return Emitted(bool(flags & 1), lsn, prefix, reader.raw(reader.number(_INT32)))


def _origin(reader: _Reader) -> Ignored:
    reader.number(_UINT64)
    reader.text()
    return Ignored()


def _type(reader: _Reader) -> Ignored:
    reader.number(_UINT32)
    reader.text()
    reader.text()
    return Ignored()


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise MalformedMessage(f"a text in it is not UTF-8: {error}") from error


_PARSERS: Mapping[bytes, Callable[[_Reader], Message]] = MappingProxyType(
    {
        b"B": _begin,
        b"C": _commit,
        b"D": _delete,
        b"I": _insert,
        b"M": _emitted,
        b"O": _origin,
        b"R": _relation,
        b"T": _truncate,
        b"U": _update,
        b"Y": _type,
    }
)
