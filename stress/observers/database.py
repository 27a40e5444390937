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
        self._versions = Versions(self._rows)

    def start(self) -> None:
        self._connection.open()
        if not self._rows(_HAS_MISSED):
            self._missed = _MISSED_3_1
        self._started = True

    def poll(self) -> Iterator[events.AnyEvent]:
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
        yield self._versions.counted()
        if self._aftermath is not None:
            yield from self._aftermath.left()

    def aftermath(self, *, drains: bool) -> Aftermath | None:
        """The remaining work of the block, queried from now on and reported at the end; None if it cannot be.

        `drains`: finite runs are awaited to their end.
        """
        if self._started and self._aftermath is None:
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
