"""What PostgreSQL reports: its log and its counters."""

from __future__ import annotations

import msgspec

from stress.events.base import Event


class DeadlockSide(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction of a deadlock: its server process, its component, its statement, the lock that it waited for."""

    pid: int
    component: str
    statement: str
    waits_for: str
    signature: str


class DeadlockSeen(Event, frozen=True, kw_only=True, tag="deadlock_seen"):
    """PostgreSQL ended a cycle of transactions. `victim` is the component whose transaction was aborted."""

    at: float
    victim: str
    context: str
    sides: list[DeadlockSide]


class LockTimeoutSeen(Event, frozen=True, kw_only=True, tag="lock_timeout_seen"):
    """PostgreSQL ended `count` statements of one kind because of a lock, a time-out or a serialisation failure.

    `code` is the SQLSTATE: 55P03 (a lock is not available: NOWAIT or lock_timeout), 57014 (cancelled: statement_timeout
    or a request) or 40001. `statement` is the statement's bounded signature, `at` the time of the first of them.
    """

    at: float
    component: str
    code: str
    statement: str
    count: int = 1


class DatabaseSampled(Event, frozen=True, kw_only=True, tag="database_sampled"):
    """The block's database: counters cumulated since its creation, and how many sessions and waits for a lock now."""

    deadlocks: int
    commits: int
    rollbacks: int
    sessions: int
    lock_waits: int = 0
