"""Follows a container's output into a file, from its first line, across its restarts."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import docker
import requests
from docker.errors import APIError, NotFound

_LOOK_AGAIN_S = 0.2


class LogFollower:
    """One container's output. `problem` says why it can't be followed any more, if so: the file then lacks its end."""

    def __init__(self, client: docker.DockerClient, container_id: str, path: Path) -> None:
        self.problem: str | None = None
        self._client = client
        self._id = container_id
        self._path = path
        self._done = threading.Event()
        self._last = b""
        self._thread = threading.Thread(target=self._run, name=f"log of {path.stem}", daemon=True)
        self._thread.start()

    def finish(self, timeout_s: float) -> None:
        """The container has ended for good: read what is left of its output."""
        self._done.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            with self._path.open("ab", buffering=0) as file:
                while True:
                    # Asked before the output is read: after the container's end there is one more reading, the last.
                    last_time = self._done.is_set()
                    self._follow(file)
                    if last_time:
                        return
                    # The output ends with the container's process; it may be started again.
                    self._done.wait(_LOOK_AGAIN_S)
        except NotFound:
            return  # removed: there is no more output
        except (OSError, APIError, requests.RequestException) as error:
            self.problem = f"the log of {self._path.stem} can't be followed: {error}"

    def _follow(self, file: IO[bytes]) -> None:
        """Write what is new until the container's process ends.

        Each message carries its time, by which those of the reading before are known. Within a reading times say
        nothing: the pieces of a long line all have the same.
        """
        known = self._last
        since = datetime.fromisoformat(self._last[:19].decode()).replace(tzinfo=UTC) if self._last else None
        stream = self._client.api.logs(self._id, stream=True, follow=True, timestamps=True, since=since)
        with contextlib.closing(stream):
            for message in stream:
                time, _, text = message.partition(b" ")
                if time > known:
                    file.write(text)
                    self._last = time
