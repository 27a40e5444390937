"""What the load generator did that a checker may need, from its own record."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from stress import events
from stress.cluster.base import Cluster
from stress.observers.base import Observer
from stress.observers.tail import DirectoryTail


class Load(Observer):
    """Follows `load/` in the shared directory, which the Locust process writes."""

    name = "load"

    def __init__(self, cluster: Cluster) -> None:
        self._tail = DirectoryTail(cluster.shared / "load")
        self._requests = DirectoryTail(cluster.shared / "load")
        self._decoder = msgspec.json.Decoder(events.RequestSent | events.RequestAnswered)

    def poll(self) -> Iterator[events.AnyEvent]:
        for _, line in self._tail.lines("actions"):
            action = json.loads(line)
            yield events.LoadActed(at=action["t"], action=action["action"], count=action["count"])
        for _, line in self._requests.lines("requests"):
            yield self._decoder.decode(line)
