"""What plays the schedules of a search: this process, and others beside it, each with its own state.

A schedule keeps one core busy at a time: one actor runs, or the server does. So a search plays as many at once as there
are cores. The other workers are forks of this process, made as soon as everything is imported and before anything is
connected; each makes the same starting state in its own database.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from airflow_stress_explore.core.search import Drawn, Record, Worker

_PREPARED_TIMEOUT_S = 60.0
_FORK = multiprocessing.get_context("fork")


class WorkerFailed(RuntimeError):  # noqa: N818 - it says what happened
    """A worker's process ended, or could not go on. The message has its traceback."""


class InProcessWorker:
    """Plays in this process, when it is waited for."""

    def __init__(self, play: Callable[[Any], Record]) -> None:
        """`play`: plays these choices, then the default ones; or what is drawn."""
        self._play = play
        self._path: Sequence[str] | Drawn = ()

    def start(self, path: Sequence[str] | Drawn) -> None:
        """Only remember the path."""
        self._path = path

    def finish(self) -> Record:
        """Play it."""
        return self._play(self._path)


class LocalWorker(Worker, Protocol):
    """A worker that is used in its own process."""

    def prepare(self, pair: str) -> None:
        """Make a pair ready to be played."""


class ForkedWorker:
    """Plays in another process."""

    def __init__(self, make: Callable[[str], LocalWorker], database: str) -> None:
        """Fork a process, and `make` its worker for a database there. Nothing may be connected yet."""
        self._connection, theirs = _FORK.Pipe()
        # A daemon process ends with this one; after a SIGKILL of this one, its end of the pipe closes.
        process = _FORK.Process(target=_serve, args=(theirs, self._connection, make, database), daemon=True)
        process.start()
        theirs.close()

    def prepare(self, pair: str) -> None:
        """Let it make a pair ready; call `wait_until_prepared` before anything is started."""
        self._send(pair)

    def wait_until_prepared(self) -> None:
        """Raises WorkerFailed if the pair cannot be made ready."""
        if not self._connection.poll(_PREPARED_TIMEOUT_S):
            raise WorkerFailed(f"a worker was not ready within {_PREPARED_TIMEOUT_S:.0f} s")
        self._answer()

    def start(self, path: Sequence[str] | Drawn) -> None:
        """Send it to the process, which plays at once."""
        self._send(list(path) if isinstance(path, Sequence) else path)

    def finish(self) -> Record:
        """Its record. Raises WorkerFailed."""
        record: Record = self._answer()
        return record

    def _send(self, order: Any) -> None:
        try:
            self._connection.send(order)
        except ConnectionError:
            raise WorkerFailed("a worker's process ended") from None

    def _answer(self) -> Any:
        try:
            good, answer = self._connection.recv()
        except (EOFError, ConnectionError):
            raise WorkerFailed("a worker's process ended") from None
        if not good:
            raise WorkerFailed(answer)
        return answer

    def close(self) -> None:
        """End its process."""
        self._connection.close()


def _serve(
    connection: multiprocessing.connection.Connection,
    others_end: multiprocessing.connection.Connection,
    make: Callable[[str], LocalWorker],
    database: str,
) -> None:
    others_end.close()  # else this process would keep the pipe open after the other one has ended
    worker = make(database)
    while True:
        try:
            order = connection.recv()
        except (EOFError, ConnectionError):
            return
        try:
            if isinstance(order, str):
                worker.prepare(order)
                answer = None
            else:
                worker.start(order)
                answer = worker.finish()
        except Exception:
            connection.send((False, traceback.format_exc()))
        else:
            connection.send((True, answer))
