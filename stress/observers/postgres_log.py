"""Deadlocks from the server's JSON log, the only place that has both statements of a cycle, and lock time-outs.

A fix must not turn a deadlock into another error unseen: statements that the server ended with one of the SQLSTATEs in
`LOCK_CODES` are counted by component and kind of statement. Our own sessions, which have a statement timeout, are not.

Marks show that the log is seen: every few seconds this observer makes the server log a mark (`RAISE LOG`), and if the
mark does not appear within `MARK_TIMEOUT_S`, the observer is blind. While the server restarts no mark can be made, and
no deadlock can happen: reading continues at the same position.

The component of a server process is its application name. The log has it for the victim only; the others are looked up
in `pg_stat_activity`, which is sampled at the same interval, and in every other line that names a process. A session
that began and ended between two samples stays "unknown"; Airflow's sessions are pooled and live longer.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from stress import events
from stress.cluster.base import Cluster
from stress.observers.base import Observer
from stress.observers.connection import Away, Connection
from stress.observers.statements import signature
from stress.observers.tail import SourceLost, Tail

LOCK_CODES = ("55P03", "57014", "40001")
"""A lock that is not available (NOWAIT, lock_timeout), a cancelled statement (statement_timeout), a serialisation
failure."""

OWN_SESSIONS = ("airflow-stress", "health")

MARK_INTERVAL_S = 2.0
MARK_TIMEOUT_S = 6.0

# Makes the server write a line into its own log, without touching a row.
_MARK = "DO $$ BEGIN RAISE LOG 'airflow-stress mark %s %s'; END $$"
# Which component each server process belongs to.
_SESSIONS = "SELECT pid, application_name FROM pg_stat_activity WHERE datname = current_database()"

# The name of a table by the number that the log gives it.
_RELATION = "SELECT relname FROM pg_class WHERE oid = %d"

_NUMBERED = re.compile(r"relation (\d+) of database \d+")
_WAITS = re.compile(r"^Process (\d+) waits for (.+?); blocked by process (\d+)\.$", re.MULTILINE)
_STATEMENT = re.compile(r"^Process (\d+): (.*?)(?=^Process \d+: |\Z)", re.MULTILINE | re.DOTALL)
_MAX_STATEMENT = 4000


class PostgresLog(Observer):
    """Follows the run's server log for one block's database."""

    name = "postgres_log"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        path = cluster.postgres_log
        self._path = path / "postgresql.json" if path.is_dir() else path
        self._components: dict[int, str] = {}
        self._relations: dict[int, str] = {}
        self._marks = itertools.count()
        self._waiting: dict[str, float] = {}
        self._marked_at = 0.0
        self._connection = Connection(cluster)
        self._tail: Tail | None = None

    def start(self) -> None:
        """Begin at the log's present end, and wait for the first mark."""
        try:
            self._tail = Tail(self._path, self._path.stat().st_size)
        except OSError as error:
            raise SourceLost(f"the server's log can't be reached: {error}") from error
        self._connection.open()
        self._mark()
        self._await_marks()

    def poll(self) -> Iterator[events.AnyEvent]:
        """Deadlocks since the last call."""
        yield from self._read()
        now = time.monotonic()
        if now - self._marked_at >= MARK_INTERVAL_S:
            with contextlib.suppress(Away):
                self._sample_sessions()
                self._mark(wait=False)
        late = [mark for mark, sent in self._waiting.items() if now - sent > MARK_TIMEOUT_S]
        if late:
            self._waiting.clear()
            raise SourceLost(f"the server log did not show our mark for {MARK_TIMEOUT_S:.0f} s")

    def finish(self) -> Iterator[events.AnyEvent]:
        """Read up to a last mark: everything that the server logged before it has then been seen."""
        yield from self._read()
        self._mark()
        found: list[events.AnyEvent] = []
        lost: SourceLost | None = None
        try:
            self._await_marks(found)
        except SourceLost as error:
            lost = error
        # Deadlocks seen before the log was lost still count.
        yield from found
        if lost is not None:
            raise lost

    def close(self) -> None:
        self._connection.close()

    def _await_marks(self, found: list[events.AnyEvent] | None = None) -> None:
        deadline = time.monotonic() + MARK_TIMEOUT_S
        while self._waiting:
            seen = list(self._read())
            if found is not None:
                found.extend(seen)
            if time.monotonic() > deadline:
                self._waiting.clear()
                raise SourceLost(f"the server log did not show our mark for {MARK_TIMEOUT_S:.0f} s")
            if self._waiting:
                time.sleep(0.02)  # no event announces that a file has grown; bounded by the deadline

    def _mark(self, *, wait: bool = True) -> None:
        mark = f"{next(self._marks)}"
        self._connection.rows(_MARK % (self._cluster.database, mark), wait=wait)
        self._marked_at = time.monotonic()
        self._waiting[f"airflow-stress mark {self._cluster.database} {mark}"] = self._marked_at

    def _sample_sessions(self) -> None:
        for pid, application in self._connection.rows(_SESSIONS):
            self._components[pid] = application

    def _read(self) -> Iterator[events.AnyEvent]:
        assert self._tail is not None
        ended: dict[tuple[str, str, str], list[float]] = {}
        for line in self._tail.lines():
            try:
                record = json.loads(line)
            except ValueError as error:
                raise SourceLost(f"the server log has a line that is not JSON: {line[:80]!r}") from error
            if record.get("dbname") != self._cluster.database:
                continue
            message = record.get("message", "")
            application = record.get("application_name")
            if application and "pid" in record:
                self._components[record["pid"]] = application
            if message.startswith("airflow-stress mark "):
                self._waiting.pop(message, None)
            elif message == "deadlock detected":
                yield self._deadlock(record)
            elif record.get("state_code") in LOCK_CODES and application not in OWN_SESSIONS:
                component = application or self._components.get(record.get("pid", 0), "unknown")
                kind = (component, record["state_code"], signature(record.get("statement", "")))
                ended.setdefault(kind, []).append(_unix(record["timestamp"]))
        for (component, code, statement), times in ended.items():
            yield events.LockTimeoutSeen(
                at=times[0], component=component, code=code, statement=statement, count=len(times)
            )

    def _deadlock(self, record: dict[str, Any]) -> events.DeadlockSeen:
        detail = record.get("detail", "")
        victim = record["pid"]
        waits = {int(pid): lock for pid, lock, _ in _WAITS.findall(detail)}
        statements = {int(pid): text.strip() for pid, text in _STATEMENT.findall(detail)}
        if record.get("statement"):
            statements[victim] = record["statement"]
        unknown = [pid for pid in waits if pid not in self._components]
        if unknown:
            # A deadlock with an unknown side is better than a missed deadlock. The marks show whether the server is
            # gone.
            with contextlib.suppress(Away, SourceLost):
                self._sample_sessions()
        sides = [
            events.DeadlockSide(
                pid=pid,
                component=self._components.get(pid, "unknown"),
                statement=statements.get(pid, "")[:_MAX_STATEMENT],
                waits_for=_NUMBERED.sub(self._named, lock),
                signature=signature(statements.get(pid, "")),
            )
            for pid, lock in waits.items()
        ]
        return events.DeadlockSeen(
            at=_unix(record["timestamp"]),
            victim=self._components.get(victim, "unknown"),
            context=record.get("context", ""),
            sides=sides,
        )

    def _named(self, found: re.Match[str]) -> str:
        """A relation by its name, which can be looked up while the block's database lives; else by its number."""
        number = int(found[1])
        if number not in self._relations:
            with contextlib.suppress(Away, SourceLost):
                for (name,) in self._connection.rows(_RELATION % number):
                    self._relations[number] = str(name)
        return f"relation {self._relations[number]}" if number in self._relations else found[0]


def _unix(timestamp: str) -> float:
    """Seconds of the server's `2026-11-21 08:00:43.067 UTC`; the server logs in UTC."""
    return datetime.strptime(timestamp.removesuffix(" UTC"), "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
