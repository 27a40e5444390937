"""A replication connection: a slot, a consistent snapshot of the rows, then messages as the server sends them.

    stream = Stream(dsn, slot)
    lsn, at, rows = stream.begin(tables)     # and from here on a thread receives
    stream.received()                        # what has come since the last call, each with the time of its arrival
    stream.resume(lsn)                       # after StreamLost: continue after that position, if the server restarted
    stream.close()                           # the slot is gone

The slot survives a restart of the server, and the feed continues after it without a gap. A connection that ends while
the server goes on was ended by someone or by a defect: that is not continued.

A slot without a reader makes the server keep its log. So a slot ends with its feed (`close`) or with its database
(`DatabaseServer.drop_database`), and the next feed removes the slots that a killed run left on a server. Until then
`max_slot_wal_keep_size` bounds what is kept.

psycopg has no replication protocol, but its module `pq` has libpq's calls for it: the protocol is two kinds of messages
in a COPY in both directions. A thread receives them, because the server asks for an answer at any time and waits for it
when it shuts down.

The reader confirms what it has received at once. After a crash of the reader nothing is sent again, and need not be.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
from psycopg import pq, sql

from stress.observers.feed.rows import Known, Table
from stress.observers.feed.server import PUBLICATION, names

_CONNECT_TIMEOUT_S = 5
_SLOT_TIMEOUT_S = 15
"""A slot begins when all transactions have ended that were under way at its creation."""
_CONFIRM_INTERVAL_S = 1.0
_JOIN_TIMEOUT_S = 5.0

# Both the snapshot's and the feed's values are written by this session: in one time zone and one style.
_OPTIONS = f"-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c lock_timeout={_SLOT_TIMEOUT_S}s"

# Slots of feeds whose run was killed. A feed that is read is active, and that of another run's block as well.
_DROP_LEFT_BEHIND = """
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
WHERE slot_name LIKE 'airflow\\_stress\\_%' AND NOT active
"""
# The server's end of a connection that was closed can need a moment, in which its slot cannot be dropped.
_END_READER = "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = %s AND active"
_DROP = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s"

_DATA_KIND, _KEEPALIVE_KIND = b"wk"
_DATA = struct.Struct("!QQq")
"""After `w`: where the message is in the log, the log's end, the server's time."""
_KEEPALIVE = struct.Struct("!QqB")
"""After `k`: the log's end, the server's time, whether an answer is asked for."""
_CONFIRMATION = struct.Struct("!cQQQqB")


class StreamLost(Exception):  # noqa: N818 - it says what happened
    """The connection or its slot is gone: what was committed since cannot be read any more."""


class Received(NamedTuple):
    """A message of the output plugin, and when it arrived (unix seconds)."""

    at: float
    data: bytes


@dataclass(frozen=True)
class Snapshot:
    """The rows of every table at the position in the log where the feed begins."""

    lsn: int
    at: float
    rows: Mapping[str, Sequence[Known]]


class Stream:
    """One feed of one database. `slot` names it among those of the server."""

    def __init__(self, dsn: str, slot: str) -> None:
        self._dsn = dsn
        self._slot = slot
        self._connection: psycopg.Connection | None = None
        self._thread: threading.Thread | None = None
        self._woken, self._wake = socket.socketpair()
        self._lock = threading.Lock()
        self._messages: list[Received] = []
        self._lost: str | None = None
        self._position = 0
        self._server_life = ""
        self._has_slot = False

    def begin(self, tables: Sequence[Table]) -> Snapshot:
        """Create the slot, read the rows that are there, and begin to receive. Raises StreamLost."""
        try:
            self._connection = self._connect()
            self._connection.execute(_DROP_LEFT_BEHIND)
            self._server_life = _server_life(self._connection)
            snapshot = self._snapshot(self._connection, tables)
            self._start(self._connection, snapshot.lsn)
        except psycopg.Error as error:
            raise StreamLost(f"the server gives no feed: {str(error).strip()}") from error
        return snapshot

    def resume(self, lsn: int) -> bool:
        """Continue with the first commit after a position. False if the server does not answer yet.

        Raises StreamLost if the server was not restarted in the meantime, or no longer has the slot.
        """
        if self._connection is not None:
            self._connection.close()
        try:
            self._connection = self._connect()
        except psycopg.Error:
            return False
        try:
            life = _server_life(self._connection)
            if life == self._server_life:
                raise StreamLost(self._lost or "the feed's connection was lost")
            self._server_life = life
            self._start(self._connection, lsn + 1)
        except psycopg.Error as error:
            raise StreamLost(f"the feed does not continue after a restart: {str(error).strip()}") from error
        return True

    def received(self) -> list[Received]:
        """The messages that arrived since the last call. Raises StreamLost when there are none and will be none."""
        with self._lock:
            messages, self._messages = self._messages, []
            if not messages and self._lost is not None:
                raise StreamLost(self._lost)
            return messages

    def close(self) -> None:
        """End the connection and the slot. May be called at any time, and twice."""
        if self._thread is not None:
            self._wake.send(b"!")
            self._thread.join(_JOIN_TIMEOUT_S)
            self._thread = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._has_slot:
            self._has_slot = False
            with (
                contextlib.suppress(psycopg.Error),  # without its server, a slot is gone as well
                psycopg.connect(self._dsn, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S) as connection,
            ):
                connection.execute(_END_READER, [self._slot])
                connection.execute(_DROP, [self._slot])
        self._woken.close()
        self._wake.close()

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            f"{self._dsn}&replication=database",
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT_S,
            options=_OPTIONS,
        )

    def _start(self, connection: psycopg.Connection, lsn: int) -> None:
        """Receive what is committed at a position or after it."""
        self._replicate(connection, lsn)
        self._position, self._lost = lsn - 1, None
        self._thread = threading.Thread(
            target=self._receive, args=(connection.pgconn,), name="change-feed", daemon=True
        )
        self._thread.start()

    def _snapshot(self, connection: psycopg.Connection, tables: Sequence[Table]) -> Snapshot:
        """USE_SNAPSHOT gives this transaction exactly what was committed before the slot's first change."""
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        created = connection.execute(
            sql.SQL("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput USE_SNAPSHOT").format(sql.Identifier(self._slot))
        ).fetchone()
        assert created is not None
        self._has_slot = True
        at = time.time()
        rows = {table.name: _rows(connection, table) for table in tables}
        connection.execute("COMMIT")
        high, _, low = str(created[1]).partition("/")
        return Snapshot((int(high, 16) << 32) | int(low, 16), at, rows)

    def _replicate(self, connection: psycopg.Connection, lsn: int) -> None:
        command = sql.SQL(
            "START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names '{}', messages 'true')"
        ).format(sql.Identifier(self._slot), sql.SQL(f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"), sql.SQL(PUBLICATION))
        result = connection.pgconn.exec_(command.as_bytes(connection))
        if result.status != pq.ExecStatus.COPY_BOTH:
            raise StreamLost(f"the server does not start the feed: {connection.pgconn.get_error_message().strip()}")
        connection.pgconn.nonblocking = 1

    def _receive(self, server: pq.abc.PGconn) -> None:
        """The thread: receive until the connection ends or `close` is called."""
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._woken, selectors.EVENT_READ)
                selector.register(server.socket, selectors.EVENT_READ)
                confirm_at = time.monotonic()
                while True:
                    ready = selector.select(max(0.0, confirm_at - time.monotonic()))
                    if any(key.fileobj is self._woken for key, _ in ready):
                        return
                    server.consume_input()
                    if self._drain(server) or time.monotonic() >= confirm_at:
                        self._confirm(server)
                        confirm_at = time.monotonic() + _CONFIRM_INTERVAL_S
        except Exception as error:  # a defect of this thread must not pass for a feed without changes
            with self._lock:
                self._lost = f"the feed's connection was lost: {str(error).strip()}"

    def _drain(self, server: pq.abc.PGconn) -> bool:
        """Take every message that is there. Whether the server asks for an answer."""
        messages: list[Received] = []
        asked = False
        now = time.time()
        try:
            while True:
                size, data = server.get_copy_data(1)
                if size == 0:
                    return asked
                if size < 0:
                    raise StreamLost(self._end_of(server))
                if data[0] == _DATA_KIND:
                    self._position = max(self._position, _DATA.unpack_from(data, 1)[0])
                    messages.append(Received(now, bytes(data[1 + _DATA.size :])))
                elif data[0] == _KEEPALIVE_KIND:
                    end, _, reply = _KEEPALIVE.unpack_from(data, 1)
                    self._position = max(self._position, end)
                    asked = asked or bool(reply)
        finally:
            if messages:
                with self._lock:
                    self._messages.extend(messages)

    @staticmethod
    def _end_of(server: pq.abc.PGconn) -> str:
        """What the server said at the end of the COPY."""
        result = server.get_result()
        said = result.error_message.decode(errors="replace") if result is not None else ""
        return said or server.get_error_message() or "the server ended it"

    def _confirm(self, server: pq.abc.PGconn) -> None:
        """Tell the server how far we are, so that it need not keep its log."""
        now = int((time.time() - 946_684_800) * 1_000_000)
        server.put_copy_data(_CONFIRMATION.pack(b"r", self._position, self._position, self._position, now, 0))
        server.flush()


def _rows(connection: psycopg.Connection, table: Table) -> list[Known]:
    """All rows of a table, each value as the output plugin writes it: a cast to text writes a boolean differently."""
    query = sql.SQL("SELECT {} FROM public.{}").format(names(table.columns), sql.Identifier(table.name))
    result = connection.pgconn.exec_(query.as_bytes(connection))
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise StreamLost(f"the rows of {table.name} can't be read: {connection.pgconn.get_error_message().strip()}")
    return [
        tuple([_text(result.get_value(row, column)) for column in range(result.nfields)])
        for row in range(result.ntuples)
    ]


def _server_life(connection: psycopg.Connection) -> str:
    """What distinguishes a server from itself before a restart."""
    row = connection.execute("SELECT pg_postmaster_start_time()::text").fetchone()
    assert row is not None
    return str(row[0])


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
