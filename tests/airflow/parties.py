"""A race as parties, each a thread with its own database session, that stop at chosen statements.

Everything is decided by statements and by what the server says about waits: no test sleeps and hopes. Each
wait has a bound, and says what it was waiting for.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

from servers import Server
from sqlalchemy import event

TIMEOUT_S = 20.0
POLL_S = 0.01


_parties: dict[int, Party] = {}
_engines: set[int] = set()


def listen(engine: Any) -> None:
    """Hook an engine's statements, once: its list of listeners must not change while parties run."""
    if id(engine) not in _engines:
        _engines.add(id(engine))
        event.listen(engine, "before_cursor_execute", _before)
        event.listen(engine, "after_cursor_execute", _after)


def _before(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
    party = _parties.get(threading.get_ident())
    if party is not None:
        party.about_to_execute(cursor.connection.get_backend_pid(), statement)


def _after(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    party = _parties.get(threading.get_ident())
    if party is not None:
        party.executed(statement)


class Party:
    """A piece of work in a thread of its own; its SQL can be stopped before or after a statement."""

    def __init__(self, name: str, work: Callable[[], Any]) -> None:
        self.name = name
        self.statements: list[str] = []
        self.error: BaseException | None = None
        self.value: Any = None
        self.pid: int | None = None
        self._work = work
        self._stop: tuple[str, re.Pattern[str]] | None = None
        self._stopped, self._go, self._done = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def stop(self, when: str, pattern: str) -> Party:
        """Stop once, ``before`` or ``after`` the first statement that the pattern is found in."""
        self._stop = (when, re.compile(pattern, re.DOTALL | re.IGNORECASE))
        return self

    def start(self) -> Party:
        """Run, until the stop if there is one; the caller waits for nothing."""
        self._thread.start()
        return self

    def run_to_stop(self) -> Party:
        """Run, and wait until the stop is reached."""
        return self.start().wait_stopped()

    def wait_stopped(self) -> Party:
        """Wait until a stop is reached that was set after the start."""
        self._await(lambda: self._stopped.is_set() or self._done.is_set(), f"{self.name} to reach its stop")
        if not self._stopped.is_set():
            raise AssertionError(f"{self.name} ended without its stop: {self.error!r}") from self.error
        return self

    def resume(self) -> Party:
        """Go on from the stop."""
        self._go.set()
        return self

    def wait(self) -> Party:
        """Wait for the end, whatever it is; see ``error``."""
        self._await(self._done.is_set, f"{self.name} to end")
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
            lambda: self._done.is_set() or (self.pid is not None and bool(server.blockers(self.pid))),
            f"{self.name} to wait for a lock",
        )
        return self

    def wait_until(self, condition: Callable[[], bool], what: str) -> bool:
        """Wait for a condition or the end; whether the condition came first."""
        seen = False

        def either() -> bool:
            nonlocal seen
            seen = not self._done.is_set() and condition()
            return seen or self._done.is_set()

        self._await(either, f"{self.name} {what}")
        return seen

    @property
    def ended(self) -> bool:
        """Whether the work is done or failed."""
        return self._done.is_set()

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            if time.monotonic() > end:
                last = self.statements[-1] if self.statements else "none"
                raise TimeoutError(f"waited {TIMEOUT_S:.0f} s for {what}; its last statement: {last[:300]}")
            time.sleep(POLL_S)

    def _run(self) -> None:
        from airflow import settings

        _parties[threading.get_ident()] = self
        try:
            self.value = self._work()
        except BaseException as error:  # kept for the test, which decides whether it is a failure
            self.error = error
        finally:
            settings.Session.remove()
            del _parties[threading.get_ident()]
            self._done.set()

    def about_to_execute(self, pid: int, statement: str) -> None:
        """Called in this party's thread before each of its statements."""
        self.pid = pid
        self.statements.append(statement)
        self._maybe_stop("before", statement)

    def executed(self, statement: str) -> None:
        """Called in this party's thread after each of its statements."""
        self._maybe_stop("after", statement)

    def _maybe_stop(self, when: str, statement: str) -> None:
        if self._stop and self._stop[0] == when and self._stop[1].search(statement):
            self._stop = None
            self._stopped.set()
            if not self._go.wait(TIMEOUT_S):
                raise TimeoutError(f"{self.name} stood at its stop for {TIMEOUT_S:.0f} s: {statement[:300]}")
