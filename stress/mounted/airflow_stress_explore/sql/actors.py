"""Actors: pieces of work in threads of their own, each of which stops before every statement and commit.

`hooks.py` calls `wait_for_turn` and `statement_ended` in the actor's own thread; `executor.py` resumes one actor at a
time. `take_step` is a step that is no statement: time that passes, the crash of another actor (`outside.py`).
"""

from __future__ import annotations

import enum
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_stress_explore.core.schedule_table import Row
from airflow_stress_explore.core.trace import UNPREDICTABLE, Event
from airflow_stress_explore.sql.access import UNKNOWN, Access, AccessSet, Schema

COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"
DEADLOCK = "40P01"
"""SQLSTATE of a statement that the server ended because transactions waited for each other."""


class Crashed(BaseException):
    """Unwinds the thread of an actor whose process has ended: no `except Exception` of the actor's code handles it."""


class Outside(Protocol):
    """What a step that is no statement may do to the other actors."""

    def crash(self, name: str) -> None:
        """End an actor's process: the server rolls back its open transactions."""


class Phase(enum.Enum):
    """Where an actor is."""

    NEW = "not started"
    RUNNABLE = "runnable"
    RUNNING = "running"
    BLOCKED = "blocked"
    DONE = "done"


@dataclass
class Step:
    """A step of an actor, and its result."""

    actor: str
    operation: str
    what: str
    """The statement's text, or COMMIT, or ROLLBACK."""

    access: Access
    parameters: Any = None
    row: int = 0
    """The step is the rest of a statement that has locked this many rows; 0 for a whole statement."""

    outcome: str = ""
    waited_for: str | None = None
    frame: str = ""
    """Where the code under test is (`core/frames.py`)."""

    locks: list[str] = field(default_factory=list)
    effect: Callable[[Outside], None] | None = None
    """What a step does that is no statement; called by the executor."""

    def as_row(self) -> Row:
        """The step as a reader sees it."""
        what = " ".join(self.what.split())
        return Row(self.actor, self.operation, what, self.locks, self.waited_for, self.outcome, self.frame)


@dataclass
class DatabaseError:
    """An error that the server gave an actor, even if the actor handled it."""

    actor: str
    sqlstate: str
    text: str
    access: Access
    """Of the statement."""

    def as_event(self) -> Event:
        """As the trace knows it. Which of several transactions a deadlock ends is not predictable."""
        prefix = UNPREDICTABLE if self.sqlstate == DEADLOCK else ""
        return (self.actor, f"{prefix}ended by the server: {self.sqlstate}", self.access)


@dataclass
class Shared:
    """What the actors of one schedule share."""

    schema: Schema
    at_end: Callable[[], None] = lambda: None
    """Called in each actor's thread after its work, to give back what the thread holds (a scoped session, say)."""

    rewrite: Callable[[str, Access], str] = lambda statement, _access: statement
    """What is sent in place of a statement (`row_stops.py`, a virtual clock's time)."""

    reports: queue.SimpleQueue[tuple[ActorThread, Phase]] = field(default_factory=queue.SimpleQueue)
    errors: list[DatabaseError] = field(default_factory=list)
    backends: dict[int, ActorThread] = field(default_factory=dict)
    """Backends to the actor that used each last: a connection goes from one actor to another through the pool."""


class ActorThread:
    """An actor's work in its own thread."""

    def __init__(self, name: str, operation: str, work: Callable[[], Any], shared: Shared) -> None:
        self.name = name
        self.operation = operation
        self.phase = Phase.NEW
        self.pending: Step | None = None
        """The step that it is about to take, or is inside of."""

        self.value: Any = None
        self.error: BaseException | None = None
        self.backend = 0
        """Process id of the server's backend that its statement runs in."""

        self.in_statement = False
        self.held = AccessSet()
        """What its open transaction has locked and written."""

        self.touched = AccessSet()
        """What all its transactions have locked and written."""

        self.crashed = False

        self.shared = shared
        self._work = work
        self._turn = threading.Lock()
        self._turn.acquire()  # held: the actor waits for its turn by acquiring it again
        self.thread = threading.Thread(target=self._run, name=f"actor-{name}", daemon=True)

    @property
    def next_step(self) -> str:
        """The text of the step that it is about to take."""
        return self.pending.what if self.pending is not None else ""

    def resume(self) -> None:
        """Let it take its step."""
        self.phase = Phase.RUNNING
        self._turn.release()

    def wait_for_turn(self, step: Step, backend: int) -> None:
        """Called in its own thread: report the next step, and wait to be resumed."""
        self.in_statement = False
        self.backend = backend
        if backend:  # an actor without a statement so far has none
            self.shared.backends[backend] = self
        self.pending = step
        self.shared.reports.put((self, Phase.RUNNABLE))
        self._turn.acquire()
        if self.crashed:
            raise Crashed
        self.in_statement = step.effect is None

    def statement_ended(self, outcome: str) -> None:
        """Called in its own thread."""
        self.in_statement = False
        if self.pending is not None:
            self.pending.outcome = self.pending.outcome or outcome

    def statement_failed(self, error: DatabaseError, outcome: str) -> None:
        """Called in its own thread."""
        self.shared.errors.append(error)
        self.statement_ended(outcome)

    def _run(self) -> None:
        actors_by_thread[threading.get_ident()] = self
        try:
            self.value = self._work()
            self.error = Crashed() if self.crashed else None  # its code may handle the end of its connection
        except BaseException as error:
            self.error = Crashed() if self.crashed else error
        finally:
            try:
                self._at_end()
            finally:
                del actors_by_thread[threading.get_ident()]
                self.in_statement = False
                self.shared.reports.put((self, Phase.DONE))

    def _at_end(self) -> None:
        try:
            self.shared.at_end()
        except Exception:
            if not self.crashed:  # its connections are gone
                raise


actors_by_thread: dict[int, ActorThread] = {}
"""The actor that runs in each thread. Statements of other threads do not stop."""


EVERYTHING = Access(AccessSet(locks=frozenset({UNKNOWN})), ends=True)
"""Of a step that conflicts with every other one, and holds nothing."""


def take_step(what: str, access: Access, effect: Callable[[Outside], None]) -> None:
    """Called in an actor's thread: stop before a step that is no statement."""
    actor = actors_by_thread[threading.get_ident()]
    actor.wait_for_turn(Step(actor.name, actor.operation, what, access, effect=effect), actor.backend)
