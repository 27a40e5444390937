"""Follows a container's output into a file, from its first line, across its restarts."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import docker
import requests
from docker.errors import APIError, NotFound

_LOOK_AGAIN_S = 0.2
_OUT_OF_ORDER = timedelta(seconds=1)
"""By how much a message may be older than one that came before it: the engine reads the two streams of a container
apart, so a line of the one can come after a later line of the other."""

_MOST_REMEMBERED = 20_000
"""Messages in memory after which those that cannot come a second time are forgotten."""


class LogFollower:
    """One container's output. `problem` says why it can't be followed any more, if so: the file then lacks its end."""

    def __init__(self, client: docker.DockerClient, container_id: str, path: Path) -> None:
        self.problem: str | None = None
        self._client = client
        self._id = container_id
        self._path = path
        self._done = threading.Event()
        self._latest: datetime | None = None
        self._written: Counter[tuple[bytes, bytes]] = Counter()
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

        A reading begins before the end of the one before, and leaves out as many messages of the same time and text as
        were written: neither the order of the messages nor their times alone say which are new.
        """
        since = self._since()
        known = Counter(self._written)
        stream = self._client.api.logs(self._id, stream=True, follow=True, timestamps=True, since=since)
        with contextlib.closing(stream):
            for message in stream:
                time, _, text = message.partition(b" ")
                if known[time, text]:
                    known[time, text] -= 1
                    continue
                file.write(text)
                self._written[time, text] += 1
                at = datetime.fromisoformat(time[:19].decode()).replace(tzinfo=UTC)
                self._latest = max(self._latest or at, at)
                if len(self._written) > _MOST_REMEMBERED:
                    self._forget()
        self._forget()

    def _since(self) -> datetime | None:
        """The time, in whole seconds as the engine takes it, from which the next reading begins."""
        return None if self._latest is None else self._latest - _OUT_OF_ORDER

    def _forget(self) -> None:
        since = self._since()
        if since is not None:
            begin = since.replace(tzinfo=None).isoformat().encode()
            self._written = Counter({key: number for key, number in self._written.items() if key[0] >= begin})
