"""The executor of schedules: actors run one at a time, and stop before every statement and commit.

An actor is a piece of real code in a thread with its own database sessions. SQLAlchemy's events stop it before each
statement, commit and rollback; a scheduler decides which actor is resumed. A *step* is what an actor does then: the
statement (or commit) that it is about to run, then Python up to the next one.

    actor      ----[stop]------statement----Python----[stop]---commit---...
    executor           ^ choose, resume                     ^ choose, resume

With `RowStops`, a statement also stops after each row that it locks (`row_stops.py`), and the rest of it is a step of
its own.

**The server says which actors are blocked**, over a connection of our own (`pg_blocking_pids`): an actor is blocked if
it is inside a statement and every backend that it waits for belongs to an actor that is runnable or blocked. Its step
then counts as taken, and takes effect when another actor's step unblocks it; it then runs up to its own next stop
before anything else is chosen. Time decides nothing, only how soon the server is asked.

If no actor is runnable and some are blocked, they wait for each other: the server ends that (`deadlock_timeout`), with
whichever victim it chooses. Each victim is the same finding.

Every wait has a bound. A wait beyond it raises `Stuck`, which says what every actor was doing, down to the line of
Python: an actor that is neither in the database nor at its next statement waits for another actor inside this process
(a lock in Python), which is a defect of the model: real actors are different processes.

Limits: PostgreSQL at READ COMMITTED. Waits between Python and Python are not steps. Time does not stand still, except
for code that a virtual clock controls.
"""

from __future__ import annotations

import queue
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from airflow_stress_explore.core.schedule import default_choice
from airflow_stress_explore.core.schedulers import Scheduler
from airflow_stress_explore.core.search import Record
from airflow_stress_explore.core.trace import Seen, granted
from airflow_stress_explore.core.trace import Step as TraceStep
from airflow_stress_explore.sql.access import Access, AccessSet, Schema
from airflow_stress_explore.sql.actors import ActorThread, DatabaseError, Phase, Shared, Step
from airflow_stress_explore.sql.row_stops import RowStops, rest_of

WAIT_S = 20.0
"""How long a step may take at most, lock waits that other actors must end not counted."""

_FIRST_LOOK_S = 0.0007
_UNLIKELY_LOOK_S = 0.05
_LONGEST_PAUSE_S = 0.005
"""How soon the server is asked whether an actor in a statement is blocked (where no actor holds anything that the
statement wants, by its tables: later), and how often then."""

AFTER_ROW = " of: "
"""Between the number of a row and the statement's text, in a step that is the rest of a statement."""


class Stuck(Exception):  # noqa: N818 - it says what happened
    """A wait was over its bound: the model is wrong, or the machine is too slow. The message says what actors did."""


class Control(Protocol):
    """The connection over which the server is asked."""

    def blockers(self, backends: Sequence[int]) -> Mapping[int, frozenset[int]]:
        """The backends that each backend waits for."""

    def terminate(self, backends: Sequence[int]) -> None:
        """End those backends that are in a transaction, and wait until they have ended."""


class ScheduleExecutor:
    """Runs one schedule."""

    def __init__(
        self,
        work: Mapping[str, tuple[str, Callable[[], Any]]],
        control: Control,
        schema: Schema,
        watch: Callable[[ScheduleExecutor, Step], None] | None = None,
        rows: RowStops | None = None,
        at_actor_end: Callable[[], None] = lambda: None,
        rewrite: Callable[[str], str] = lambda statement: statement,
    ) -> None:
        """`work`: the actors' names to operation and function. `watch` is called after each step.

        `rows`: stops between the rows of a statement. `at_actor_end`: called in each actor's thread after its work.
        `rewrite`: what is sent in place of a statement.
        """
        self.control = control
        self.rows = rows
        self.steps: list[Step] = []
        self.choices: list[str] = []
        self.seen: list[Seen] = []
        """Where the actors were before each choice, and at the end."""

        self.written: set[str] = set()
        """Tables that were written, committed or not."""

        self._shared = Shared(schema, at_actor_end)
        self._shared.rewrite = lambda statement, access: rewrite(
            statement if rows is None else rows.rewritten(statement, access)
        )
        self.actors = [
            ActorThread(name, operation, function, self._shared) for name, (operation, function) in work.items()
        ]
        self._watch = watch
        self._errors_seen = 0

    @property
    def errors(self) -> list[DatabaseError]:
        """Errors that the server gave the actors."""
        return self._shared.errors

    @property
    def backends(self) -> Mapping[int, ActorThread]:
        """Backends to the actor that used each last."""
        return self._shared.backends

    def run(self, scheduler: Scheduler[ActorThread]) -> None:
        """Until all actors are done. Raises Stuck."""
        for actor in self.actors:
            actor.phase = Phase.RUNNING
            actor.thread.start()
            self._settle()
        current: ActorThread | None = None
        while runnable := {actor.name: actor for actor in self._in(Phase.RUNNABLE)}:
            self.seen.append(self._look_around())
            first = default_choice(runnable, current.name if current is not None else None)
            options = [runnable.pop(first), *runnable.values()]
            current = options[scheduler.choose(options, options[0] is current)]
            self.choices.append(current.name)
            self.step(current)
        self.seen.append(self._look_around())

    def record(self, diverged: bool, verdict: Any) -> Record:
        """The schedule that was run, for a search."""
        return Record(self.choices, self.seen, diverged, verdict)

    def _look_around(self) -> Seen:
        events = [error.as_event() for error in self.errors[self._errors_seen :]]
        self._errors_seen = len(self.errors)
        if self.steps and self.steps[-1].waited_for is not None:
            step = self.steps[-1]
            events.insert(0, granted(step.actor, (step.what, step.access)))
        return Seen(self._next_steps(Phase.RUNNABLE), self._next_steps(Phase.BLOCKED), tuple(events))

    def _next_steps(self, phase: Phase) -> dict[str, TraceStep]:
        return {
            actor.name: (actor.pending.what, actor.pending.access)
            for actor in self.actors
            if actor.phase is phase and actor.pending is not None
        }

    def step(self, actor: ActorThread) -> Step:
        """Let one actor take its step, and wait until each actor is runnable, blocked or done."""
        step = actor.pending
        assert step is not None
        self.steps.append(step)
        self._account(actor, step)
        if step.row:
            assert self.rows is not None
            actor.phase = Phase.RUNNING
            self.rows.resume(actor.backend)
        else:
            if self.rows is not None and self.rows.stops(step.access):
                self.rows.close_gate(actor.backend)
            if step.effect is not None:
                step.effect(self)
            actor.resume()
        self._settle()
        if self._watch is not None:
            self._watch(self, step)
        return step

    def crash(self, name: str) -> None:
        """End an actor's process: its connections end, so the server rolls back, and its thread unwinds.

        A connection that it has given back to the pool stays: the pool stands for those of all processes.
        """
        (actor,) = (each for each in self.actors if each.name == name)
        if actor.phase is Phase.DONE:
            return
        actor.crashed = True
        self.control.terminate([backend for backend, owner in self.backends.items() if owner is actor])
        actor.held = AccessSet()
        if actor.phase is Phase.RUNNABLE and actor.pending is not None and not actor.pending.row:
            actor.resume()  # otherwise it is inside a statement, which the server ends
        actor.phase = Phase.RUNNING

    def _account(self, actor: ActorThread, step: Step) -> None:
        mine = step.access.set
        if step.access.ends:
            actor.held = AccessSet()
        else:
            actor.held = actor.held.with_(mine)
            actor.touched = actor.touched.with_(mine)
            self.written |= mine.writes

    def _settle(self) -> None:
        """Wait until each actor is runnable, blocked or done, and one can be chosen."""
        deadline = time.monotonic() + WAIT_S
        pause = _FIRST_LOOK_S if self._may_block() else _UNLIKELY_LOOK_S
        while True:
            if not self._in(Phase.RUNNING):
                blocked = self._in(Phase.BLOCKED)
                if not blocked:
                    return
                self._look(blocked)  # the last step may have unblocked them
                if not self._in(Phase.RUNNING) and self._in(Phase.RUNNABLE):
                    return
                # No actor is runnable: they wait for each other, and the server will end it.
            if self._take_reports(pause):
                pause = _FIRST_LOOK_S
                continue
            pause = min(_LONGEST_PAUSE_S, pause * 1.6)
            self._look([*self._in(Phase.RUNNING), *self._in(Phase.BLOCKED)])
            if time.monotonic() > deadline:
                raise Stuck(f"no step ended within {WAIT_S:.0f} s: {self._describe()}")

    def _may_stop(self, step: Step) -> bool:
        return self.rows is not None and self.rows.stops(step.access)

    def _may_block(self) -> bool:
        """Whether a running actor wants something that another one holds, or stops between two rows."""
        if self.rows is not None and any(a.pending and self._may_stop(a.pending) for a in self._in(Phase.RUNNING)):
            return True
        return any(actor.phase is Phase.BLOCKED for actor in self.actors) or any(
            actor.pending is not None and other is not actor and actor.pending.access.conflicts(Access(other.held))
            for actor in self._in(Phase.RUNNING)
            for other in self.actors
        )

    def _in(self, phase: Phase) -> list[ActorThread]:
        return [actor for actor in self.actors if actor.phase is phase]

    def _take_reports(self, timeout_s: float) -> bool:
        try:
            actor, phase = self._shared.reports.get(timeout=timeout_s)
        except queue.Empty:
            return False
        while True:
            actor.phase = phase
            try:
                actor, phase = self._shared.reports.get_nowait()
            except queue.Empty:
                return True

    def _look(self, actors: Sequence[ActorThread]) -> None:
        """Ask the server which of the actors are blocked."""
        asked = [(actor, actor.backend, actor.pending) for actor in actors if actor.in_statement]
        waiting = self.control.blockers([backend for _, backend, _ in asked]) if asked else {}
        # The answer may be about a statement that has ended since: then a report is on its way.
        still = [
            (actor, waiting[backend], pending)
            for actor, backend, pending in asked
            if waiting.get(backend) and actor.in_statement and actor.pending is pending
        ]
        for actor in actors:
            if actor.phase is Phase.BLOCKED and all(actor is not other for other, _, _ in still):
                actor.phase = Phase.RUNNING
        for actor, blockers, pending in still:
            if self.rows is not None and self.rows.holder in blockers:
                self._stop_between_rows(actor, pending)
                continue
            others = [self._shared.backends.get(backend) for backend in blockers]
            # An actor that still runs may unblock it at any moment, unless it waits, too. So may a backend of no actor.
            if all(
                other is not None and (other is actor or other.phase is not Phase.RUNNING or waiting.get(other.backend))
                for other in others
            ):
                actor.phase = Phase.BLOCKED
                if pending is not None and pending.waited_for is None:
                    pending.waited_for = ", ".join(sorted({other.name for other in others if other is not None}))

    def _stop_between_rows(self, actor: ActorThread, pending: Step | None) -> None:
        """Its statement has locked a row, and is held before the next one."""
        assert pending is not None
        row = pending.row + 1
        statement = pending.what.partition(AFTER_ROW)[2] if pending.row else pending.what
        pending.outcome = pending.outcome or "stops"
        actor.pending = Step(
            actor.name,
            actor.operation,
            f"at row {row}{AFTER_ROW}{statement}",
            rest_of(pending.access),
            pending.parameters,
            row,
        )
        actor.phase = Phase.RUNNABLE

    def _describe(self) -> str:
        frames = sys._current_frames()
        lines = []
        for actor in self.actors:
            at = actor.pending.what[:200] if actor.pending is not None else "its beginning"
            where = "in" if actor.in_statement else "after"
            lines.append(f"{actor.name} ({actor.operation}) {actor.phase.value}, {where}: {at}")
            frame = frames.get(actor.thread.ident or 0)
            if frame is not None and actor.phase is Phase.RUNNING and not actor.in_statement:
                lines.extend(line.strip() for line in traceback.format_stack(frame)[-4:])
        return "\n".join(lines)
