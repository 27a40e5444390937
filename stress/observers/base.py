"""The interface of an observer: a source of events about one block that reports when it cannot see.

    observer = PostgresLog(cluster)
    observer.start()                # before the load; raises SourceLost if there is nothing to see
    observer.poll() -> events       # twice a second
    observer.finish() -> events     # after the settling time, while the cluster still runs

An observer never decides what an event means, and never reports zero for what it could not see: it raises
`SourceLost`, and the block's history then says that it was blind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from stress.events import AnyEvent


class Observer(ABC):
    """A source of events for one block."""

    name: str

    def start(self) -> None:  # noqa: B027 - most have nothing to begin
        """Begin to look. Raises SourceLost if the source is not there."""

    @abstractmethod
    def poll(self) -> Iterable[AnyEvent]:
        """What happened since the last call. Raises SourceLost."""

    def finish(self) -> Iterable[AnyEvent]:
        """The last look, with everything that is counted once at the end of a block. Raises SourceLost."""
        return self.poll()

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Close connections and files."""
