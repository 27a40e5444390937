"""All observers of a block. If one fails, only that observer is blind: the failure is recorded, and the observer is not
polled again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from stress import events
from stress.cluster.base import Cluster
from stress.history import HistoryBroken, Recorder
from stress.observers.base import Observer
from stress.observers.component_logs import ComponentLogs
from stress.observers.database import Database
from stress.observers.execution_api import ExecutionApi
from stress.observers.feed.observer import ChangeFeed
from stress.observers.harness_clock import HarnessClock
from stress.observers.load import Load
from stress.observers.postgres_log import PostgresLog
from stress.observers.receipts import FixReports, Receipts
from stress.observers.scheduler_loops import SchedulerLoops
from stress.observers.tail import SourceLost
from stress.settling import Unfinished

KINDS: Mapping[type[Observer], Callable[[Cluster], Observer]] = MappingProxyType(
    {
        HarnessClock: lambda _: HarnessClock(),
        FixReports: FixReports,
        Load: Load,
        PostgresLog: PostgresLog,
        ComponentLogs: ComponentLogs,
        SchedulerLoops: SchedulerLoops,
        # Answers to workers are read before stored states, and stored states before receipts of callbacks: a last look
        # in this order never misses the older half of a comparison.
        ExecutionApi: ExecutionApi,
        Database: Database,
        Receipts: Receipts,
        # Last: what the others have seen in the database, an acknowledged answer for example, is then in the feed.
        ChangeFeed: ChangeFeed,
    }
)
"""Every observer with its constructor, in the order in which they look."""

_OF_HOLLOW_WORKERS = (ExecutionApi, SchedulerLoops)
"""Observers of records that only the hollow workers and their executor leave."""

NAMES = tuple(kind.name for kind in KINDS)

AskAftermath = Callable[[bool], Unfinished | None]
"""Pending work, given whether finite runs are awaited to their end; None where it is not known."""


@dataclass
class _Watched:
    """An observer and whether it sees."""

    observer: Observer
    up: bool = False


class Panel:
    """The observers of one block. `aftermath` gives the settling the pending work, None without an answer."""

    def __init__(
        self,
        observers: Sequence[Observer],
        record: Recorder,
        aftermath: AskAftermath = lambda _: None,
    ) -> None:
        self._watched = [_Watched(observer) for observer in observers]
        self._record = record
        self.aftermath = aftermath

    @property
    def names(self) -> tuple[str, ...]:
        """The observers' names, in the order in which they look."""
        return tuple(watched.observer.name for watched in self._watched)

    def start(self) -> None:
        """Start each; one that cannot see is recorded as blind and not polled again."""
        for watched in self._watched:
            if self._guard(watched, lambda w=watched: w.observer.start() or ()):  # type: ignore[misc]
                watched.up = True
                self._record(events.ObserverUp(observer=watched.observer.name))

    def poll(self) -> None:
        """One look by each."""
        for watched in self._watched:
            if watched.up:
                self._guard(watched, watched.observer.poll)

    def finish(self) -> None:
        """The last look by each."""
        for watched in self._watched:
            if watched.up:
                self._guard(watched, watched.observer.finish)

    def close(self) -> None:
        """Close their connections and files."""
        for watched in self._watched:
            watched.observer.close()

    def _guard(self, watched: _Watched, look: Callable[[], Iterable[events.AnyEvent]]) -> bool:
        try:
            for event in look():
                self._record(event)
        except SourceLost as lost:
            reason = str(lost)
        except HistoryBroken:
            raise
        except Exception as error:
            # A defect of an observer is blindness: it must not pass for silence.
            reason = f"{type(error).__name__}: {error}"
        else:
            return True
        watched.up = False
        self._record(events.ObserverBlind(observer=watched.observer.name, reason=reason))
        return False


def panel_of(
    cluster: Cluster,
    record: Recorder,
    *,
    hollow: bool,
    seeing: bool = True,
    without: Collection[type[Observer]] = (),
) -> Panel:
    """All observers, for any scenarios: the harm of one race can show in the source of another.

    `hollow`: the workers are ours and leave records. Not `seeing` measures what observing costs: nothing is observed
    but the count at the end, without which there is no measure; `without` measures what some observers cost.
    """
    if not seeing:
        counts = Database(cluster, sample=False)
        return Panel([counts], record, lambda drains: counts.aftermath(drains=drains))
    left_out = {*without, *(() if hollow else _OF_HOLLOW_WORKERS)}
    observers = {kind: make(cluster) for kind, make in KINDS.items() if kind not in left_out}
    database = observers[Database]
    assert isinstance(database, Database)
    return Panel(list(observers.values()), record, lambda drains: database.aftermath(drains=drains))
