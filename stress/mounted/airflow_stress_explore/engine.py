"""The scheduler of statements: actors that run one at a time, and stop before every statement and commit.

An actor is a piece of real Airflow code in a thread with sessions of its own. SQLAlchemy's events stop it before each
statement, commit and rollback; a policy says who goes on. A *step* is what an actor does when it is let go: the
statement (or commit) that it stands before, then Python up to the next one.

    actor      ----[stand]------statement----Python----[stand]---commit---...
    engine             ^ choose, let go                    ^ choose, let go

If a pair wants that, a statement also stops after each row that it locks (`rows.py`), and the rest of it is a step of
its own.

**Who is blocked is asked of the server**, over a connection of our own (`pg_blocking_pids`): an actor is blocked if it
is inside a statement and every backend that it waits for belongs to an actor that stands or is blocked. Its step then
ends without having ended; when another actor's step lets it go on, it runs up to its own next stand before anything
else is chosen. Time decides nothing, only how soon we ask.

If nobody stands and somebody is blocked, the actors wait for each other: the server ends that (`deadlock_timeout`),
with whichever victim it takes. Both are the same finding.

Every wait has a bound. What is over it raises `Stuck`, which says what every actor was doing, down to the line of
Python: an actor that is neither in the database nor at its next statement waits for another actor inside this process
(a lock in Python), which is a defect of the model: real actors are different processes.

Limits: PostgreSQL at READ COMMITTED. Waits between Python and Python are not steps. Time does not stand still.
"""

from __future__ import annotations

import enum
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_stress_explore.footprint import Footprint, Schema, Touch, dependent, footprint
from airflow_stress_explore.rows import RowStops, rest_of

WAIT_S = 20.0
"""How long a step may take at most, lock waits that others must end not counted."""

_FIRST_LOOK_S = 0.0007
_UNLIKELY_LOOK_S = 0.05
_LONGEST_PAUSE_S = 0.005
"""How soon the server is asked whether an actor in a statement is blocked (where nobody holds anything that the
statement wants, by its tables: later), and how often then."""

COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"
AFTER_ROW = " of: "
"""Between the number of a row and the statement's text, in a step that is the rest of a statement."""


class Stuck(Exception):  # noqa: N818 - it says what happened
    """A wait was over its bound: the model is wrong, or the machine is. The message says who was doing what."""


class Phase(enum.Enum):
    """Where an actor is."""

    NEW = "not started"
    STANDS = "stands"
    RUNS = "runs"
    BLOCKED = "blocked"
    DONE = "done"


@dataclass
class Step:
    """One stand of an actor, and what became of it."""

    actor: str
    operation: str
    what: str
    """The statement's text, or COMMIT, or ROLLBACK."""

    touch: Touch
    parameters: Any = None
    row: int = 0
    """The step is the rest of a statement that has locked this many rows; 0 for a whole statement."""

    outcome: str = ""
    waited_for: str | None = None
    locks: list[str] = field(default_factory=list)


@dataclass
class DatabaseError:
    """An error that the server gave an actor, whatever Airflow did with it."""

    actor: str
    sqlstate: str
    text: str
    touch: Touch
    """Of the statement."""


class Policy(Protocol):
    """Decides who goes on."""

    def choose(self, engine: Engine, standing: Sequence[Actor], current: Actor | None) -> Actor:
        """One of those that stand. `current` took the last step, and may stand or not."""


class Actor:
    """A piece of Airflow's work in a thread of its own."""

    def __init__(self, name: str, operation: str, work: Callable[[], Any], engine: Engine) -> None:
        self.name = name
        self.operation = operation
        self.phase = Phase.NEW
        self.pending: Step | None = None
        """What it stands before, or is inside of."""

        self.value: Any = None
        self.error: BaseException | None = None
        self.backend = 0
        """Process id of the server's backend that its statement is in."""

        self.in_statement = False
        self.held = Footprint()
        """What its open transaction has locked and written."""

        self.touched = Footprint()
        """What all its transactions have locked and written."""

        self._work = work
        self._engine = engine
        self._go = threading.Lock()
        self._go.acquire()  # held: whoever acquires it again waits to be let go
        self.thread = threading.Thread(target=self._run, name=f"actor-{name}", daemon=True)

    def let_go(self) -> None:
        """From its stand on."""
        self.phase = Phase.RUNS
        self._go.release()

    def stand(self, step: Step, backend: int) -> None:
        """Called in its own thread: report, and wait to be let go."""
        self.in_statement = False
        self.backend = backend
        self._engine.owners[backend] = self
        self.pending = step
        self._engine.reports.put((self, Phase.STANDS))
        self._go.acquire()
        self.in_statement = True

    def passed(self, outcome: str) -> None:
        """Called in its own thread: the statement has ended."""
        self.in_statement = False
        if self.pending is not None:
            self.pending.outcome = self.pending.outcome or outcome

    def _run(self) -> None:
        from airflow import settings

        actors_by_thread[threading.get_ident()] = self
        try:
            self.value = self._work()
        except BaseException as error:
            self.error = error
        finally:
            try:
                settings.Session.remove()
            finally:
                del actors_by_thread[threading.get_ident()]
                self.in_statement = False
                self._engine.reports.put((self, Phase.DONE))


actors_by_thread: dict[int, Actor] = {}
"""Whose thread it is; threads that are nobody's are let through."""


class Control(Protocol):
    """The connection that the server is asked over."""

    def blockers(self, backends: Sequence[int]) -> Mapping[int, frozenset[int]]:
        """Whom each backend waits for."""


class Engine:
    """Runs one schedule."""

    def __init__(
        self,
        work: Mapping[str, tuple[str, Callable[[], Any]]],
        control: Control,
        schema: Schema,
        watch: Callable[[Engine, Step], None] | None = None,
        rows: RowStops | None = None,
    ) -> None:
        """`work`: the actors' names to operation and function. `watch` is called after each step, for the witness.

        `rows`: stops between the rows of a statement, if there are to be any.
        """
        self.reports: queue.SimpleQueue[tuple[Actor, Phase]] = queue.SimpleQueue()
        self.schema = schema
        self.control = control
        self.rows = rows
        self.steps: list[Step] = []
        self.errors: list[DatabaseError] = []
        self.written: set[str] = set()
        """Tables that were written, committed or not."""

        self.actors = [Actor(name, operation, function, self) for name, (operation, function) in work.items()]
        self._watch = watch
        self.owners: dict[int, Actor] = {}
        """Backends to who used them last: a connection goes from one actor to another through the pool."""

    def run(self, policy: Policy) -> None:
        """Until all actors are done. Raises Stuck."""
        for actor in self.actors:
            actor.phase = Phase.RUNS
            actor.thread.start()
            self._settle()
        current: Actor | None = None
        while True:
            standing = [actor for actor in self.actors if actor.phase is Phase.STANDS]
            if not standing:
                return
            current = policy.choose(self, standing, current)
            self.step(current)

    def step(self, actor: Actor) -> Step:
        """Let one actor take its step, and wait until everybody stands, is blocked or is done."""
        step = actor.pending
        assert step is not None
        self.steps.append(step)
        self._account(actor, step)
        if step.row:
            assert self.rows is not None
            actor.phase = Phase.RUNS
            self.rows.resume(actor.backend)
        else:
            if self.rows is not None and self.rows.stops(step.touch):
                self.rows.close_gate(actor.backend)
            actor.let_go()
        self._settle()
        if self._watch is not None:
            self._watch(self, step)
        return step

    def _account(self, actor: Actor, step: Step) -> None:
        mine = step.touch.footprint
        if step.touch.ends:
            actor.held = Footprint()
        else:
            actor.held = actor.held.with_(mine)
            actor.touched = actor.touched.with_(mine)
            self.written |= mine.writes

    def _settle(self) -> None:
        """Wait until everybody stands, is blocked or is done, and somebody can be chosen."""
        deadline = time.monotonic() + WAIT_S
        pause = _FIRST_LOOK_S if self._may_block() else _UNLIKELY_LOOK_S
        while True:
            if not self._in(Phase.RUNS):
                blocked = self._in(Phase.BLOCKED)
                if not blocked:
                    return
                self._look(blocked)  # what has just happened may have let them go
                if not self._in(Phase.RUNS) and self._in(Phase.STANDS):
                    return
                # Nobody stands: they wait for each other, and the server will end it.
            if self._take_reports(pause):
                pause = _FIRST_LOOK_S
                continue
            pause = min(_LONGEST_PAUSE_S, pause * 1.6)
            self._look([*self._in(Phase.RUNS), *self._in(Phase.BLOCKED)])
            if time.monotonic() > deadline:
                raise Stuck(f"no step ended within {WAIT_S:.0f} s: {self._describe()}")

    def _may_stop(self, step: Step) -> bool:
        return self.rows is not None and self.rows.stops(step.touch)

    def _may_block(self) -> bool:
        """Whether somebody who goes on now wants something that another one holds, or stops between two rows."""
        if self.rows is not None and any(a.pending and self._may_stop(a.pending) for a in self._in(Phase.RUNS)):
            return True
        return any(actor.phase is Phase.BLOCKED for actor in self.actors) or any(
            actor.pending is not None
            and other is not actor
            and dependent(actor.pending.touch, Touch(other.held, ends=False))
            for actor in self._in(Phase.RUNS)
            for other in self.actors
        )

    def _in(self, phase: Phase) -> list[Actor]:
        return [actor for actor in self.actors if actor.phase is phase]

    def _take_reports(self, timeout_s: float) -> bool:
        try:
            actor, phase = self.reports.get(timeout=timeout_s)
        except queue.Empty:
            return False
        while True:
            actor.phase = phase
            try:
                actor, phase = self.reports.get_nowait()
            except queue.Empty:
                return True

    def _look(self, actors: Sequence[Actor]) -> None:
        """Ask the server which of the actors are blocked."""
        asked = [(actor, actor.backend, actor.pending) for actor in actors if actor.in_statement]
        waiting = self.control.blockers([backend for _, backend, _ in asked]) if asked else {}
        # What the server said may be of a statement that has ended since: then a report is on its way.
        still = [
            (actor, waiting[backend], pending)
            for actor, backend, pending in asked
            if waiting.get(backend) and actor.in_statement and actor.pending is pending
        ]
        for actor in actors:
            if actor.phase is Phase.BLOCKED and all(actor is not other for other, _, _ in still):
                actor.phase = Phase.RUNS
        for actor, blockers, pending in still:
            if self.rows is not None and self.rows.holder in blockers:
                self._stand_between_rows(actor, pending)
                continue
            others = [self.owners.get(backend) for backend in blockers]
            # One that still runs may let it go at any moment, unless it waits, too. A backend of nobody's may, too.
            if all(
                other is not None and (other is actor or other.phase is not Phase.RUNS or waiting.get(other.backend))
                for other in others
            ):
                actor.phase = Phase.BLOCKED
                if pending is not None and pending.waited_for is None:
                    pending.waited_for = ", ".join(sorted({other.name for other in others if other is not None}))

    def _stand_between_rows(self, actor: Actor, pending: Step | None) -> None:
        """Its statement has locked a row, and is held before the next one."""
        assert pending is not None
        row = pending.row + 1
        statement = pending.what.partition(AFTER_ROW)[2] if pending.row else pending.what
        pending.outcome = pending.outcome or "stops"
        actor.pending = Step(
            actor.name,
            actor.operation,
            f"at row {row}{AFTER_ROW}{statement}",
            rest_of(pending.touch),
            pending.parameters,
            row,
        )
        actor.phase = Phase.STANDS

    def _describe(self) -> str:
        frames = sys._current_frames()
        lines = []
        for actor in self.actors:
            at = actor.pending.what[:200] if actor.pending is not None else "its beginning"
            where = "in" if actor.in_statement else "after"
            lines.append(f"{actor.name} ({actor.operation}) {actor.phase.value}, {where}: {at}")
            frame = frames.get(actor.thread.ident or 0)
            if frame is not None and actor.phase is Phase.RUNS and not actor.in_statement:
                lines.extend(line.strip() for line in traceback.format_stack(frame)[-4:])
        return "\n".join(lines)


def listen(sqlalchemy_engine: Any) -> None:
    """Hook an engine's statements, once a process."""
    from sqlalchemy import event

    def before(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        actor = actors_by_thread.get(threading.get_ident())
        if actor is not None:
            touch = Touch(footprint(statement, actor._engine.schema))
            step = Step(actor.name, actor.operation, statement, touch, parameters)
            actor.stand(step, cursor.connection.info.backend_pid)
            if actor._engine.rows is not None:
                statement = actor._engine.rows.rewritten(statement, touch)
        return statement, parameters

    def after(_connection: Any, cursor: Any, *_: Any) -> None:
        actor = actors_by_thread.get(threading.get_ident())
        if actor is not None:
            actor.passed(f"{cursor.rowcount} rows" if cursor.rowcount >= 0 else "done")

    def ending(what: str) -> Callable[[Any], None]:
        def end(connection: Any) -> None:
            actor = actors_by_thread.get(threading.get_ident())
            if actor is None:
                return
            actor.passed("done")
            held = actor.held
            writes = held.writes if what == COMMIT else frozenset()
            touch = Touch(Footprint(frozenset(), held.locks, held.shares, writes), ends=True)
            driver = connection.connection.dbapi_connection
            backend = actor.backend if driver.closed else driver.info.backend_pid
            actor.stand(Step(actor.name, actor.operation, what, touch), backend)
            actor.in_statement = what == COMMIT  # nobody waits for anything in a rollback

        return end

    def failed(context: Any) -> None:
        actor = actors_by_thread.get(threading.get_ident())
        if actor is None:
            return
        original = context.original_exception
        sqlstate = getattr(original, "pgcode", None) or ""
        text = str(original).strip()
        touch = actor.pending.touch if actor.pending is not None else Touch(Footprint())
        actor._engine.errors.append(DatabaseError(actor.name, sqlstate, text, touch))
        said = [line for line in text.splitlines() if line and (line == text.splitlines()[0] or "CONTEXT" in line)]
        actor.passed(f"{sqlstate or type(original).__name__}: {'; '.join(said)}")

    event.listen(sqlalchemy_engine, "before_cursor_execute", before, retval=True)
    event.listen(sqlalchemy_engine, "after_cursor_execute", after)
    event.listen(sqlalchemy_engine, "commit", ending(COMMIT))
    event.listen(sqlalchemy_engine, "rollback", ending(ROLLBACK))
    event.listen(sqlalchemy_engine, "handle_error", failed)
