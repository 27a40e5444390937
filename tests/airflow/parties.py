"""A race as parties, each a thread with its own database session, that stop at chosen statements.

A party is an actor of the explorer (`airflow_stress_explore/sql`) that runs freely but for the one stop that a test
gives it; the explorer's executor stops at each statement. Everything is decided by statements and by what the server
says about waits: no test sleeps and hopes. Each wait has a bound, and says what it was waiting for.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

from servers import Server

from airflow_stress_explore.sql.access import Schema
from airflow_stress_explore.sql.actors import COMMIT, ROLLBACK, ActorThread, DatabaseError, Shared, Step

TIMEOUT_S = 20.0
POLL_S = 0.01


def _remove_session() -> None:
    from airflow import settings

    settings.Session.remove()


class Party(ActorThread):
    """A piece of work in a thread of its own; its SQL can be stopped before or after a statement."""

    def __init__(self, name: str, work: Callable[[], Any]) -> None:
        super().__init__(name, name, work, Shared(Schema(frozenset()), _remove_session))
        self.statements: list[str] = []
        self.pid: int | None = None
        self._stop: tuple[str, re.Pattern[str]] | None = None
        self._stopped, self._go = threading.Event(), threading.Event()

    def stop(self, when: str, pattern: str) -> Party:
        """Stop once, ``before`` or ``after`` the first statement that the pattern is found in."""
        self._stop = (when, re.compile(pattern, re.DOTALL | re.IGNORECASE))
        return self

    def start(self) -> Party:
        """Run, until the stop if there is one; the caller waits for nothing."""
        self.thread.start()
        return self

    def run_to_stop(self) -> Party:
        """Run, and wait until the stop is reached."""
        return self.start().wait_stopped()

    def wait_stopped(self) -> Party:
        """Wait until a stop is reached that was set after the start."""
        self._await(lambda: self._stopped.is_set() or self.ended, f"{self.name} to reach its stop")
        if not self._stopped.is_set():
            raise AssertionError(f"{self.name} ended without its stop: {self.error!r}") from self.error
        return self

    def resume(self) -> Party:  # type: ignore[override] # of a party that stopped once, not of an executor's actor
        """Go on from the stop."""
        self._go.set()
        return self

    def wait(self) -> Party:
        """Wait for the end, whatever it is; see ``error``."""
        self._await(lambda: self.ended, f"{self.name} to end")
        return self

    def result(self) -> Any:
        """Wait for the end; its value, or its error raised."""
        self.wait()
        if self.error is not None:
            raise self.error
        return self.value

    def wait_blocked(self, server: Server) -> Party:
        """Wait until the server says that this party waits for a lock, or the party ended."""
        self._await(
            lambda: self.ended or (self.pid is not None and bool(server.blockers(self.pid))),
            f"{self.name} to wait for a lock",
        )
        return self

    def wait_until(self, condition: Callable[[], bool], what: str) -> bool:
        """Wait for a condition or the end; whether the condition came first."""
        seen = False

        def either() -> bool:
            nonlocal seen
            seen = not self.ended and condition()
            return seen or self.ended

        self._await(either, f"{self.name} {what}")
        return seen

    @property
    def ended(self) -> bool:
        """Whether the work is done or failed."""
        return self.thread.ident is not None and not self.thread.is_alive()

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            if time.monotonic() > end:
                last = self.statements[-1] if self.statements else "none"
                raise TimeoutError(f"waited {TIMEOUT_S:.0f} s for {what}; its last statement: {last[:300]}")
            time.sleep(POLL_S)

    # -- called in the party's thread, by the explorer's hooks ---------------------------------------------------

    def wait_for_turn(self, step: Step, backend: int) -> None:
        """Before each statement, commit and rollback."""
        self.pid = backend
        self.pending = None
        if step.what not in (COMMIT, ROLLBACK):
            self.pending = step
            self.statements.append(step.what)
            self._maybe_stop("before", step.what)

    def statement_ended(self, _outcome: str) -> None:
        """After each of them that did not fail."""
        step, self.pending = self.pending, None
        if step is not None:
            self._maybe_stop("after", step.what)

    def statement_failed(self, error: DatabaseError, _outcome: str) -> None:
        """After each of them that failed."""
        self.pending = None
        self.shared.errors.append(error)

    def _maybe_stop(self, when: str, statement: str) -> None:
        if self._stop and self._stop[0] == when and self._stop[1].search(statement):
            self._stop = None
            self._stopped.set()
            if not self._go.wait(TIMEOUT_S):
                raise TimeoutError(f"{self.name} stood at its stop for {TIMEOUT_S:.0f} s: {statement[:300]}")
