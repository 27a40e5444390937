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
class Told:
    """One thing that happened. `at` is Unix time; `exit_code` is negative for a signal, and only there for a `die`."""

    at: float
    container: str
    action: str
    exit_code: int | None


class Watch:
    """Follows the engine's events from a thread, from the moment it is made."""

    def __init__(self, client: docker.DockerClient, project: str) -> None:
        self.problem: str | None = None
        self._told: deque[Told] = deque()
        self._closed = False
        # Whatever happened in this second once more: who asks knows its own containers.
        self._stream = client.events(
            decode=True,
            since=int(time.time()),
            filters={"type": "container", "label": f"{PROJECT_LABEL}={project}", "event": list(_ACTIONS)},
        )
        self._thread = threading.Thread(target=self._run, name="engine events", daemon=True)
        self._thread.start()

    def drain(self) -> list[Told]:
        """What happened since the last call, in order."""
        told = []
        while self._told:
            told.append(self._told.popleft())
        return told

    def close(self) -> None:
        """No more events. May be called twice."""
        self._closed = True
        with contextlib.suppress(OSError, requests.RequestException):
            self._stream.close()
        self._thread.join(2)

    def _run(self) -> None:
        try:
            for event in self._stream:
                self._told.append(_told(event))
            reason = "it ended"
        except (OSError, APIError, requests.RequestException, ValueError) as error:
            reason = str(error)
        if not self._closed:
            self.problem = f"the engine's events can't be followed any more: {reason}"


def _told(event: dict[str, Any]) -> Told:
    attributes = event["Actor"]["Attributes"]
    code = int(attributes["exitCode"]) if "exitCode" in attributes else None
    if code is not None and code > _SIGNALLED:
        code = _SIGNALLED - code
    return Told(event["timeNano"] / 1e9, event["Actor"]["ID"], event["Action"], code)
