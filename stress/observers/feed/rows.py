"""From messages to transactions: an UPDATE's message has the whole new row, so the last state of each row is kept here,
and a change names the columns that differ from it.

The rows must be known from the begin: those of a snapshot, then each change in order. An update or a delete of a row
that is not known shows that something is missing, and raises `FeedGap`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from stress.events import RowChange, TransactionCommitted
from stress.observers.feed.pgoutput import (
    UNCHANGED,
    Begin,
    Commit,
    Delete,
    Emitted,
    Insert,
    Message,
    Relation,
    Row,
    Truncate,
    Update,
)

WRITER_PREFIX = "airflow-stress writer"
"""The prefix of the messages by which a transaction names its session (`server.py`)."""

Key = tuple[str, ...]
Known = tuple[str | None, ...]
"""A row's values, in the order of its table's columns."""


class FeedGap(Exception):  # noqa: N818 - it says what happened
    """The messages do not follow from each other: a part of the feed is missing."""


@dataclass(frozen=True)
class Table:
    """A published table: its columns in their order, and which of them are its primary key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    def places(self) -> tuple[int, ...]:
        """Where the key's columns are."""
        return tuple(place for place, name in enumerate(self.columns) if name in self.key)


class _Rows:
    """The rows of one table, by key."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._places = table.places()
        self._rows: dict[Key, Known] = {}

    def insert(self, new: Row) -> RowChange:
        known = self._whole(new, None)
        key = self._key(known)
        self._rows[key] = known
        return RowChange(self.table.name, "insert", key, dict(zip(self.table.columns, known, strict=True)))

    def update(self, old: Row | None, new: Row) -> RowChange | None:
        """None if no published column changed."""
        key = self._key(new if old is None else old)
        before = self._pop(key)
        after = self._whole(new, before)
        self._rows[key if old is None else self._key(after)] = after
        if after == before:
            return None
        changed = {
            name: value for name, was, value in zip(self.table.columns, before, after, strict=True) if was != value
        }
        return RowChange(self.table.name, "update", key, changed)

    def delete(self, old: Row) -> RowChange:
        key = self._key(old)
        self._pop(key)
        return RowChange(self.table.name, "delete", key)

    def truncate(self) -> Iterator[RowChange]:
        for key in self._rows:
            yield RowChange(self.table.name, "delete", key)
        self._rows = {}

    def _pop(self, key: Key) -> Known:
        try:
            return self._rows.pop(key)
        except KeyError as error:
            raise FeedGap(f"the feed changes a row of {self.table.name} that it never had: {key}") from error

    def _key(self, row: Row) -> Key:
        if len(row) != len(self.table.columns):
            raise FeedGap(f"the feed has a row of {self.table.name} with {len(row)} values")
        return tuple([self._part(row, place) for place in self._places])

    def _part(self, row: Row, place: int) -> str:
        value = row[place]
        if not isinstance(value, str):
            raise FeedGap(f"the feed has a row of {self.table.name} without its {self.table.columns[place]}")
        return value

    def _whole(self, row: Row, before: Known | None) -> Known:
        """The row with the values that were not sent, because they did not change."""
        if UNCHANGED not in row:
            return cast("Known", row)
        whole: list[str | None] = []
        for place, value in enumerate(row):
            if value is not UNCHANGED:
                whole.append(value)
            elif before is not None:
                whole.append(before[place])
            else:
                raise FeedGap(f"the feed inserts a row of {self.table.name} without a value")
        return tuple(whole)


_Change = Insert | Update | Delete | Truncate


@dataclass
class _Open:
    """The transaction whose messages are being read. It changes no row before its commit, so that it can be begun
    again."""

    begin: Begin
    writer: str = ""
    messages: list[_Change] = field(default_factory=list)


@dataclass(frozen=True)
class Mark:
    """A mark of our own came back: every transaction that committed before it has been read."""

    content: str


class Assembler:
    """Takes the messages of a feed in order. `mark_prefix` distinguishes the marks of this feed from all others."""

    def __init__(self, tables: Sequence[Table], mark_prefix: str) -> None:
        self._rows = {table.name: _Rows(table) for table in tables}
        self._relations: dict[int, _Rows] = {}
        self._mark_prefix = mark_prefix
        self._open: _Open | None = None
        self._last_lsn = 0

    def begin(self, lsn: int, at: float, rows: Mapping[str, Iterable[Known]]) -> TransactionCommitted:
        """The rows of the snapshot with which the feed begins, as a transaction with xid 0."""
        self._last_lsn = lsn - 1  # the first commit may be at the snapshot's own position
        changes = [self._rows[table].insert(row) for table, found in rows.items() for row in found]
        return TransactionCommitted(xid=0, lsn=lsn, at=at, writer="", changes=tuple(changes))

    def take(self, message: Message) -> TransactionCommitted | Mark | None:
        """What a message completes: a transaction with changes, a mark, or nothing. Raises FeedGap."""
        match message:
            case Relation():
                self._describe(message)
            case Begin():
                if self._open is not None:
                    raise FeedGap(f"transaction {message.xid} begins inside transaction {self._open.begin.xid}")
                self._open = _Open(message)
            case Commit():
                return self._committed(message)
            case Emitted():
                return self._emitted(message)
            case Insert() | Update() | Delete() | Truncate():
                if self._open is None:
                    raise FeedGap("the feed has a change outside of a transaction")
                self._open.messages.append(message)
        return None

    @property
    def last_lsn(self) -> int:
        """The position of the last commit that was taken."""
        return self._last_lsn

    def resume(self) -> None:
        """The feed begins again after the last commit: forget the transaction that was cut off."""
        self._open = None

    def _changes(self, message: _Change) -> Iterator[RowChange]:
        match message:
            case Insert():
                yield self._of(message.relation).insert(message.new)
            case Update():
                changed = self._of(message.relation).update(message.old, message.new)
                if changed is not None:
                    yield changed
            case Delete():
                yield self._of(message.relation).delete(message.old)
            case Truncate():
                for relation in message.relations:
                    yield from self._of(relation).truncate()

    def _committed(self, message: Commit) -> TransactionCommitted | None:
        done, self._open = self._open, None
        if done is None:
            raise FeedGap("the feed has a commit without a begin")
        if message.lsn != done.begin.lsn or message.lsn <= self._last_lsn:
            raise FeedGap(
                f"the commit of transaction {done.begin.xid} is at {message.lsn:X}, its begin says {done.begin.lsn:X}, "
                f"and the commit before it is at {self._last_lsn:X}"
            )
        self._last_lsn = message.lsn
        changes = tuple([change for each in done.messages for change in self._changes(each)])
        if not changes:
            return None
        return TransactionCommitted(
            xid=done.begin.xid, lsn=message.lsn, at=message.at, writer=done.writer, changes=changes
        )

    def _emitted(self, message: Emitted) -> Mark | None:
        if message.prefix == WRITER_PREFIX and self._open is not None:
            self._open.writer = message.content.decode(errors="replace")
        elif message.prefix == self._mark_prefix:
            return Mark(message.content.decode(errors="replace"))
        return None

    def _describe(self, relation: Relation) -> None:
        rows = self._rows.get(relation.name)
        if rows is None:
            raise FeedGap(f"the feed has the table {relation.name}, which was not asked for")
        columns = tuple(column.name for column in relation.columns)
        key = tuple(column.name for column in relation.columns if column.key)
        if (columns, set(key)) != (rows.table.columns, set(rows.table.key)):
            raise FeedGap(f"the columns of {relation.name} have changed: {', '.join(columns)}")
        self._relations[relation.oid] = rows

    def _of(self, relation: int) -> _Rows:
        try:
            return self._relations[relation]
        except KeyError as error:
            raise FeedGap(f"the feed has a change of a table {relation} that it has not described") from error
