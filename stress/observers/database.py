"""The database, queried directly: counters, missed deadlines, owners of triggers, finished task instances.

One connection in autocommit, short statements, a statement timeout: an observer that waits for a lock would become part
of the race. Only plain reads, which take no row lock. While the server is being restarted there are no samples; of a
trigger that changed meanwhile only the next state is seen.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from stress import events
from stress.cluster.base import Cluster
from stress.observers.aftermath import Aftermath
from stress.observers.base import Observer
from stress.observers.connection import Away, Connection
from stress.observers.versions import Versions

SAMPLE_INTERVAL_S = 1.0

# Deadlocks and transactions of this database since it was made; sessions and waits for a lock now.
_COUNTERS = """
SELECT deadlocks, xact_commit, xact_rollback, numbackends,
       (SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE NOT l.granted AND a.datname = current_database())
FROM pg_stat_database WHERE datname = current_database()
"""
# Every trigger with the host name (our component's name) of the triggerer that owns it.
_TRIGGERS = """
SELECT t.id, t.classpath LIKE '%allback%', j.hostname FROM trigger t LEFT JOIN job j ON j.id = t.triggerer_id
"""
_TASKS = "SELECT coalesce(state, 'none'), count(*) FROM task_instance GROUP BY 1"
# How long each task instance waited that was queued between two times (unix seconds): until it was queued, and until it
# started. A resumed one was queued again after its start; one that waits to be queued again was queued before.
_DELAYS = """
SELECT CASE WHEN queued_dttm >= scheduled_dttm THEN extract(epoch FROM queued_dttm - scheduled_dttm)::float8 END,
       CASE WHEN start_date >= queued_dttm THEN extract(epoch FROM start_date - queued_dttm)::float8 END
FROM task_instance WHERE extract(epoch FROM queued_dttm) BETWEEN {start:.6f} AND {end:.6f}
"""
# From 3.2 on a handled deadline is marked; before, its callback has a state.
_MISSED = "SELECT id FROM deadline WHERE missed"
_MISSED_3_1 = "SELECT id FROM deadline WHERE callback_state IS NOT NULL"
_HAS_MISSED = """
SELECT 1 FROM information_schema.columns WHERE table_name = 'deadline' AND column_name = 'missed'
"""


class Database(Observer):
    """Samples the block's database about once a second."""

    name = "database"

    def __init__(self, cluster: Cluster, *, sample: bool = True) -> None:
        """`sample=False` only counts at the end."""
        self._sample = sample
        self._connection = Connection(cluster)
        self._started = False
        self._owners: dict[int, str | None] = {}
        self._sampled_at = 0.0
        self._missed = _MISSED
        self._aftermath: Aftermath | None = None
        self._load_began: float | None = None
        self._load_ended: float | None = None
        self._versions = Versions(self._rows)

    def start(self) -> None:
        self._connection.open()
        if not self._rows(_HAS_MISSED):
            self._missed = _MISSED_3_1
        self._started = True

    def poll(self) -> Iterator[events.AnyEvent]:
        if self._load_began is None:  # the first look is made when the load begins
            self._load_began = time.time()
        if not self._sample or time.monotonic() - self._sampled_at < SAMPLE_INTERVAL_S:
            return
        self._sampled_at = time.monotonic()
        with contextlib.suppress(Away):
            yield from self._counters()
            yield from self._triggers()
            self._versions.look()

    def finish(self) -> Iterator[events.AnyEvent]:
        with contextlib.suppress(Away):  # the next statement waits for the server, and must not fail
            yield from self._counters()
        yield events.DeadlinesMissed(deadlines=[str(row[0]) for row in self._rows(self._missed)])
        yield events.TasksCounted(by_state=dict(self._rows(_TASKS)))
        yield from self._delays()
        yield self._versions.counted()
        if self._aftermath is not None:
            yield from self._aftermath.left()

    def aftermath(self, *, drains: bool) -> Aftermath | None:
        """The remaining work of the block, queried from now on and reported at the end; None if it cannot be.

        `drains`: finite runs are awaited to their end.
        """
        if self._started and self._aftermath is None:
            self._load_ended = time.time()
            self._aftermath = Aftermath(self._rows, since_3_2=self._missed == _MISSED, drains=drains)
        return self._aftermath

    def close(self) -> None:
        self._connection.close()

    def _rows(self, statement: str, *, wait: bool = True) -> list[tuple[Any, ...]]:
        return self._connection.rows(statement, wait=wait)

    def _counters(self) -> Iterator[events.AnyEvent]:
        deadlocks, commits, rollbacks, sessions, lock_waits = self._rows(_COUNTERS, wait=False)[0]
        yield events.DatabaseSampled(
            deadlocks=deadlocks, commits=commits, rollbacks=rollbacks, sessions=sessions, lock_waits=lock_waits
        )

    def _delays(self) -> Iterator[events.AnyEvent]:
        if self._load_began is None:
            return
        rows = self._rows(_DELAYS.format(start=self._load_began, end=self._load_ended or time.time()))
        scheduled, queued = (sorted(round(row[at], 4) for row in rows if row[at] is not None) for at in (0, 1))
        yield events.TaskDelays(scheduled_s=scheduled, queued_s=queued)

    def _triggers(self) -> Iterator[events.AnyEvent]:
        owned: dict[str, int] = {}
        seen = set()
        for trigger, callback, owner in self._rows(_TRIGGERS, wait=False):
            seen.add(trigger)
            if not callback and owner is not None:
                owned[owner] = owned.get(owner, 0) + 1
            if self._owners.get(trigger, "never seen") != owner:
                self._owners[trigger] = owner
                yield events.TriggerOwnerChanged(trigger=trigger, callback=callback, owner=owner)
        for gone in self._owners.keys() - seen:
            del self._owners[gone]
        yield events.TriggersOwned(owned=owned)
