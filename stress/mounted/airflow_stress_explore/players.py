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
from typing import TYPE_CHECKING, Any, Protocol

from airflow_stress_explore.explore import Player, Record
from airflow_stress_explore.invariants import Failure, answers
from airflow_stress_explore.policies import Path

if TYPE_CHECKING:
    from airflow_stress_explore.session import Outcomes, Session

_PREPARED_TIMEOUT_S = 60.0
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
    """Plays in this process."""

    def __init__(self, prepare: Callable[[str], tuple[Session, Sequence[Outcomes]]]) -> None:
        """`prepare` makes a pair ready, by its name, and plays its actors one after the other."""
        self._prepare = prepare
        self._path: Sequence[str] = ()
        self.session: Session
        self.one_by_one: Sequence[Outcomes]

    def prepare(self, pair: str) -> None:
        """Make a pair ready to be played. Raises UnknownInternals."""
        self.session, self.one_by_one = self._prepare(pair)

    def start(self, path: Sequence[str]) -> None:
        """Only remembered: this thread plays it when it is waited for."""
        self._path = path

    def finish(self) -> Record:
        """Play it."""
        policy = Path(self._path)
        engine = self.session.play(policy)
        failures = self.session.judge(engine, self.one_by_one)
        return policy.record(engine, Verdict(failures, answers(engine)))


class Local(Player, Protocol):
    """A player that is used in its own process."""

    def prepare(self, pair: str) -> None:
        """Make a pair ready to be played."""


class Beside:
    """Plays in a process of its own."""

    def __init__(self, make: Callable[[str], Local], database: str) -> None:
        """Fork it, and let it `make` its player for a database. Nothing may be connected yet."""
        self._connection, theirs = _FORK.Pipe()
        # A daemon ends with us; and if we end without a word, the pipe does, too.
        process = _FORK.Process(target=_serve, args=(theirs, self._connection, make, database), daemon=True)
        process.start()
        theirs.close()

    def prepare(self, pair: str) -> None:
        """Let it make a pair ready; to be waited for before anything is started."""
        self._send(pair)

    def wait_until_prepared(self) -> None:
        """Raises PlayerFailed if it can't be."""
        if not self._connection.poll(_PREPARED_TIMEOUT_S):
            raise PlayerFailed(f"a player was not ready within {_PREPARED_TIMEOUT_S:.0f} s")
        self._answer()

    def start(self, path: Sequence[str]) -> None:
        """Told to its process, which plays at once."""
        self._send(list(path))

    def finish(self) -> Record:
        """Its record. Raises PlayerFailed."""
        record: Record = self._answer()
        return record

    def _send(self, order: Any) -> None:
        try:
            self._connection.send(order)
        except ConnectionError:
            raise PlayerFailed("a player's process ended") from None

    def _answer(self) -> Any:
        try:
            good, answer = self._connection.recv()
        except (EOFError, ConnectionError):
            raise PlayerFailed("a player's process ended") from None
        if not good:
            raise PlayerFailed(answer)
        return answer

    def close(self) -> None:
        """Let its process end."""
        self._connection.close()


def _serve(
    connection: multiprocessing.connection.Connection,
    others_end: multiprocessing.connection.Connection,
    make: Callable[[str], Local],
    database: str,
) -> None:
    others_end.close()  # or it would never be told that the process which holds it has ended
    player = make(database)
    while True:
        try:
            order = connection.recv()
        except (EOFError, ConnectionError):
            return
        try:
            if isinstance(order, str):
                player.prepare(order)
                answer = None
            else:
                player.start(order)
                answer = player.finish()
        except Exception:
            connection.send((False, traceback.format_exc()))
        else:
            connection.send((True, answer))
