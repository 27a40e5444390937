"""Who plays the schedules of a search: this process, and others beside it, each with a database of its own.

A schedule keeps one core busy at a time: one actor runs, or the server does. So a search plays as many at once as there
are cores. The other players are forks of this process, made as soon as Airflow is imported and before anything is
connected; each makes the same starting state in its own database.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_stress_explore.explore import Player, Record
from airflow_stress_explore.invariants import Failure, answers
from airflow_stress_explore.policies import Path

if TYPE_CHECKING:
    from airflow_stress_explore.session import Outcomes, Session

_READY_TIMEOUT_S = 60.0
_FORK = multiprocessing.get_context("fork")


class PlayerFailed(RuntimeError):  # noqa: N818 - it says what happened
    """A player's process ended, or could not go on. The message has its traceback."""


@dataclass(frozen=True)
class Verdict:
    """Of a schedule that was played."""

    failures: Sequence[Failure]
    answers: Mapping[str, str]
    """What each actor was told."""


class Here:
    """Plays in this process; a verdict is the failures, and what each actor was told."""

    def __init__(self, session: Session, one_by_one: Sequence[Outcomes]) -> None:
        self._session = session
        self._one_by_one = one_by_one
        self._path: Sequence[str] = ()

    def start(self, path: Sequence[str]) -> None:
        """Only remembered: this thread plays it when it is waited for."""
        self._path = path

    def finish(self) -> Record:
        policy = Path(self._path)
        engine = self._session.play(policy)
        failures = self._session.judge(engine, self._one_by_one)
        return policy.record(engine, Verdict(failures, answers(engine)))


class Beside:
    """Plays in a process of its own."""

    def __init__(self, make: Callable[[str], Player], database: str) -> None:
        """Fork it, and let it `make` its player for a database. Nothing may be connected yet."""
        self._connection, theirs = _FORK.Pipe()
        # A daemon ends with us; and if we end without a word, the pipe does, too.
        process = _FORK.Process(target=_serve, args=(theirs, self._connection, make, database), daemon=True)
        process.start()
        theirs.close()

    def wait_until_ready(self) -> None:
        """Raises PlayerFailed if it can't be."""
        if not self._connection.poll(_READY_TIMEOUT_S):
            raise PlayerFailed(f"a player was not ready within {_READY_TIMEOUT_S:.0f} s")
        self.finish()

    def start(self, path: Sequence[str]) -> None:
        """Told to its process, which plays at once."""
        self._connection.send(list(path))

    def finish(self) -> Any:
        """Its record. Raises PlayerFailed."""
        try:
            answer = self._connection.recv()
        except EOFError:
            raise PlayerFailed("a player's process ended") from None
        if isinstance(answer, str):
            raise PlayerFailed(answer)
        return answer

    def close(self) -> None:
        """Let its process end."""
        self._connection.close()


def _serve(
    connection: multiprocessing.connection.Connection,
    others_end: multiprocessing.connection.Connection,
    make: Callable[[str], Player],
    database: str,
) -> None:
    others_end.close()  # or it would never be told that the process which holds it has ended
    try:
        player = make(database)
        connection.send(None)
        while True:
            player.start(connection.recv())
            connection.send(player.finish())
    except (EOFError, BrokenPipeError):
        return
    except Exception:
        connection.send(traceback.format_exc())
