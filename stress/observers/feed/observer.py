"""The observer of the change feed.

Marks show that the feed is seen whole and in time: every few seconds this observer writes a message into the server's
log, and the feed brings it back. A mark that does not come back within `LAG_BOUND_S`, a lost connection or slot, and a
message that does not follow from those before it make the observer blind. The last look waits for a last mark: every
transaction that committed before it has been read then.

A restart of PostgreSQL ends the connection, and the feed continues after it where it was; a server that is away for
`PATIENCE_S` is lost.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator

import psycopg

from stress import events
from stress.cluster.base import Cluster
from stress.observers.base import Observer
from stress.observers.connection import PATIENCE_S, Away, Connection
from stress.observers.feed.pgoutput import MalformedMessage, decode
from stress.observers.feed.rows import Assembler, FeedGap, Mark
from stress.observers.feed.server import publish
from stress.observers.feed.stream import Received, Stream, StreamLost
from stress.observers.tail import SourceLost

MARK_INTERVAL_S = 2.0
LAG_BOUND_S = 20.0
"""Seconds after which a mark must have come back. A loaded server is behind by up to a few."""

_STEP_S = 2.0
"""How much one look adds to a mark's waiting at most: a machine that stood still is not a feed that lags."""
_PAUSE_S = 0.02

# The commit is flushed at once, because the server sends only what is on the disk.
_MARK = "SET synchronous_commit = on; SELECT pg_logical_emit_message(true, '{prefix}', '{mark}')"


class ChangeFeed(Observer):
    """Reads one block's changes. Created before the load, it begins with the rows that are there."""

    name = "change_feed"

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._clock = clock
        self._slot = f"airflow_stress_{cluster.database}"
        self._mark_prefix = f"airflow-stress mark {cluster.database}"
        self._connection = Connection(cluster)
        self._stream: Stream | None = None
        self._assembler: Assembler | None = None
        self._snapshot: events.TransactionCommitted | None = None
        self._marks = itertools.count()
        self._waiting: dict[str, float] = {}
        """Marks that have not come back, with the seconds for which they have been awaited."""
        self._lost_since: float | None = None
        self._looked_at = 0.0
        self._marked_at = 0.0
        self._transactions = 0
        self._changes = 0
        self._bytes = 0
        self._largest_lag_s = 0.0

    def start(self) -> None:
        dsn = self._cluster.dsn("airflow-stress")
        self._connection.open()
        self._stream = Stream(dsn, self._slot)
        try:
            tables = publish(dsn)
            snapshot = self._stream.begin(tables)
        except psycopg.Error as error:
            raise SourceLost(f"the feed can't be set up: {str(error).strip()}") from error
        except StreamLost as error:
            raise SourceLost(str(error)) from error
        self._assembler = Assembler(tables, self._mark_prefix)
        self._snapshot = self._assembler.begin(snapshot.lsn, snapshot.at, snapshot.rows)
        self._looked_at = self._clock()

    def poll(self) -> Iterator[events.AnyEvent]:
        if self._snapshot is not None:
            snapshot, self._snapshot = self._snapshot, None
            yield self._counted(snapshot)
        yield from self._read()
        self._age_marks()
        if self._clock() - self._marked_at >= MARK_INTERVAL_S:
            with contextlib.suppress(Away):
                self._mark(wait=False)

    def finish(self) -> Iterator[events.AnyEvent]:
        yield from self.poll()
        self._mark(wait=True)
        while self._waiting:
            time.sleep(_PAUSE_S)  # the thread that receives signals nothing; bounded by the lag
            yield from self._read()
            self._age_marks()
        yield events.FeedEnded(
            transactions=self._transactions,
            changes=self._changes,
            bytes=self._bytes,
            largest_lag_s=round(self._largest_lag_s, 3),
        )

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._connection.close()

    def _read(self) -> Iterator[events.TransactionCommitted]:
        assert self._stream is not None
        assert self._assembler is not None
        try:
            for message in self._received(self._stream, self._assembler):
                self._bytes += len(message.data)
                found = self._assembler.take(decode(message.data))
                if isinstance(found, Mark):
                    self._waiting.pop(found.content, None)
                elif found is not None:
                    self._largest_lag_s = max(self._largest_lag_s, message.at - found.at)
                    yield self._counted(found)
        except (StreamLost, FeedGap, MalformedMessage) as error:
            raise SourceLost(str(error)) from error

    def _received(self, stream: Stream, assembler: Assembler) -> list[Received]:
        """What has arrived; nothing while the server restarts."""
        try:
            return stream.received()
        except StreamLost as lost:
            now = self._clock()
            self._lost_since = self._lost_since or now
            if stream.resume(assembler.last_lsn):
                assembler.resume()
                self._lost_since = None
                self._waiting = dict.fromkeys(self._waiting, 0.0)
            elif now - self._lost_since > PATIENCE_S:
                raise StreamLost(f"{lost}, {now - self._lost_since:.0f} s ago") from lost
            return []

    def _counted(self, transaction: events.TransactionCommitted) -> events.TransactionCommitted:
        self._transactions += 1
        self._changes += len(transaction.changes)
        return transaction

    def _mark(self, *, wait: bool) -> None:
        mark = str(next(self._marks))
        self._connection.rows(_MARK.format(prefix=self._mark_prefix, mark=mark), wait=wait)
        self._marked_at = self._clock()
        self._waiting[mark] = 0.0

    def _age_marks(self) -> None:
        now = self._clock()
        passed_s, self._looked_at = min(now - self._looked_at, _STEP_S), now
        if self._lost_since is not None:  # the server is away, which has a bound that is counted elsewhere
            return
        self._waiting = {mark: waited_s + passed_s for mark, waited_s in self._waiting.items()}
        if any(waited_s > LAG_BOUND_S for waited_s in self._waiting.values()):
            raise SourceLost(f"the feed is more than {LAG_BOUND_S:g} s behind the server")
