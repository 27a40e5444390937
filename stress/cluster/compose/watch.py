"""What the engine tells of a project's containers: that they started, ended (and how), or ran out of memory."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import docker
import requests
from docker.errors import APIError

from stress.cluster.compose.engine import PROJECT_LABEL

_ACTIONS = ("start", "die", "oom")
_SIGNALLED = 128


@dataclass(frozen=True)
class EngineEvent:
    """One thing that happened. `at` is Unix time; `exit_code` is negative for a signal, and only there for a `die`."""

    at: float
    container: str
    action: str
    exit_code: int | None


class Watch:
    """Follows the engine's events from a thread, from the moment it is made."""

    def __init__(self, client: docker.DockerClient, project: str) -> None:
        self.problem: str | None = None
        self._events: deque[EngineEvent] = deque()
        self._closed = False
        # Events of this second are read a second time: the caller knows its own containers.
        self._stream = client.events(
            decode=True,
            since=int(time.time()),
            filters={"type": "container", "label": f"{PROJECT_LABEL}={project}", "event": list(_ACTIONS)},
        )
        self._thread = threading.Thread(target=self._run, name="engine events", daemon=True)
        self._thread.start()

    def drain(self) -> list[EngineEvent]:
        """What happened since the last call, in order."""
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def close(self) -> None:
        """No more events. May be called twice."""
        self._closed = True
        with contextlib.suppress(OSError, requests.RequestException):
            self._stream.close()
        self._thread.join(2)

    def _run(self) -> None:
        try:
            for message in self._stream:
                self._events.append(_event(message))
            reason = "it ended"
        except (OSError, APIError, requests.RequestException, ValueError) as error:
            reason = str(error)
        if not self._closed:
            self.problem = f"the engine's events can't be followed any more: {reason}"


def _event(message: dict[str, Any]) -> EngineEvent:
    attributes = message["Actor"]["Attributes"]
    code = int(attributes["exitCode"]) if "exitCode" in attributes else None
    if code is not None and code > _SIGNALLED:
        code = _SIGNALLED - code
    return EngineEvent(message["timeNano"] / 1e9, message["Actor"]["ID"], message["Action"], code)
