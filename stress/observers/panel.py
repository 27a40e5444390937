"""All observers of a block, looked at together.

Each failure is that observer's blindness, and no other's: it is recorded, and the observer is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from stress import events
from stress.cluster.base import Cluster
from stress.history import HistoryBroken, Recorder
from stress.observers.base import Observer
from stress.observers.component_logs import ComponentLogs
from stress.observers.database import Database
from stress.observers.execution_api import ExecutionApi
from stress.observers.harness_clock import HarnessClock
from stress.observers.load import Load
from stress.observers.postgres_log import PostgresLog
from stress.observers.receipts import FixReports, Receipts
from stress.observers.tail import SourceLost
from stress.settling import Unfinished

KINDS: Mapping[type[Observer], Callable[[Cluster], Observer]] = MappingProxyType(
    {
        HarnessClock: lambda _: HarnessClock(),
        FixReports: FixReports,
        Load: Load,
        PostgresLog: PostgresLog,
        ComponentLogs: ComponentLogs,
        # What a worker was told is read before what is stored, and what is stored before what a callback told: a last
        # look in this order never misses the older half of a comparison.
        ExecutionApi: ExecutionApi,
        Database: Database,
        Receipts: Receipts,
    }
)
"""Every observer that there is with how it is made, in the order in which they look."""

NAMES = tuple(kind.name for kind in KINDS)

AskAftermath = Callable[[bool], Unfinished | None]
"""What still waits, asked with whether finite runs are awaited to their end; None where that can't be told."""


@dataclass
class _Watched:
    """An observer and whether it sees."""

    observer: Observer
    up: bool = False


class Panel:
    """The observers of one block. `aftermath` is what the settling asks: what still waits, None without an answer."""

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
        """Start each; one that sees nothing is recorded as blind and not asked again."""
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
            # What we can't read we have not seen: a defect of an observer must not pass for silence.
            reason = f"{type(error).__name__}: {error}"
        else:
            return True
        watched.up = False
        self._record(events.ObserverBlind(observer=watched.observer.name, reason=reason))
        return False


def panel_of(cluster: Cluster, record: Recorder, *, hollow: bool, seeing: bool = True) -> Panel:
    """All observers, whatever the scenarios: each race's harm can show in another's source.

    `hollow`: the workers are ours and leave records. Not `seeing` measures what observing costs: nothing is observed
    but the count at the end, without which there is no measure.
    """
    if not seeing:
        counts = Database(cluster, sample=False)
        return Panel([counts], record, lambda drains: counts.aftermath(drains=drains))
    observers = {kind: make(cluster) for kind, make in KINDS.items() if hollow or kind is not ExecutionApi}
    database = observers[Database]
    assert isinstance(database, Database)
    return Panel(list(observers.values()), record, lambda drains: database.aftermath(drains=drains))
