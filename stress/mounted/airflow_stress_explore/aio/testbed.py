"""A testbed: one run of some actors on a controlled event loop, and what must hold after it.

What a schedule decides is when an actor starts, when it is cancelled, when time passes, when another event from outside
happens, and which thread runs. The handles of the loop run in asyncio's order: a schedule that swapped two of them
would be one that no event loop can take.

What must hold, in every schedule:

    hung                     no actor waits when nothing is left that could wake it
    error                    no actor ends with an exception
    unexpected_cancellation  only an actor that was cancelled ends cancelled
    cancellation_lost        an actor that was cancelled ends, and ends so
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import re
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_stress_explore.aio.kernel import AbandonedError, Event, Kernel
from airflow_stress_explore.aio.loop import ControlledLoop
from airflow_stress_explore.aio.threads import Executors, under_control
from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.schedulers import Option, Scheduler

ACTOR: contextvars.ContextVar[str] = contextvars.ContextVar("actor", default="loop")
OPERATION: contextvars.ContextVar[str] = contextvars.ContextVar("operation", default="")
"""Whose work a handle of the loop is, for a witness."""


@dataclass(frozen=True)
class Actor:
    """A coroutine that runs concurrently with others."""

    name: str
    run: Callable[[str], Coroutine[Any, Any, Any]]
    """Called with the name."""

    cancellable: bool = False
    """Whether the schedule may cancel it (once, at any of its awaits)."""

    operation: str = ""
    """What it does. Actors of the same operation are interchangeable: they start in the order in which they are given.
    """

    after: str | None = None
    """Another actor: this one starts only when that one has started."""


class Observer(Protocol):
    """Watches a run; see `witness.py`."""

    def attach(self, testbed: Any) -> None:
        """Begin, once the run is prepared."""

    def finish(self) -> None:
        """The run has ended."""


class Testbed:
    """One run. Make a new object for each schedule; override what a program needs besides its actors."""

    __test__ = False
    """Not a class of tests, although its name looks so to pytest."""

    HUNG = "hung"
    """The invariant of an actor that waits and cannot be woken."""

    def __init__(
        self, actors: Sequence[Actor], scheduler: Scheduler[Option], forget_thread: Callable[[], None] = lambda: None
    ) -> None:
        """`forget_thread`: called in each thread before its work, to clear thread-local data of the run before."""
        self.actors = actors
        self.scheduler = scheduler
        self.kernel = Kernel(scheduler)
        self.executors = Executors(self.kernel, forget_thread)
        self.loop: ControlledLoop = self.new_loop()
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        self.cancelled: set[str] = set()
        self.failures: list[Failure] = []
        self.observer: Observer | None = None

    def run(self) -> list[Failure]:
        """Play it; gives what it violates. Raises an error of the testbed itself."""
        try:
            with under_control(self.kernel, self.new_loop), self.surroundings():
                try:
                    self._play()
                finally:
                    self.kernel.unwind()
        finally:
            self.tear_down()
        if self.kernel.error is not None:
            raise self.kernel.error
        self.judge()
        return self.failures

    # -- what a program may override -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def surroundings(self) -> Iterator[None]:
        """What is replaced for the time of the run."""
        yield

    def prepare(self) -> None:
        """Before the schedule begins. The loop does not run yet (`self.loop.run_until_complete` does)."""

    def events(self) -> list[Event]:
        """What may happen from outside: starts, the clock, cancellations."""
        starts = []
        same: dict[tuple[str, bool], str] = {}
        for actor in self.actors:
            before = actor.after
            if actor.operation:
                kind = (actor.operation, actor.cancellable)
                before = before or same.get(kind)
                same[kind] = actor.name
            can_start = functools.partial(self._can_start, actor.name, before)
            start = functools.partial(self._start, actor)
            starts.append(Event(f"start {actor.name}", can_start, start, tail=True, once=True))
        cancellations = [
            Event(
                f"cancel {actor.name}",
                functools.partial(self.can_cancel, actor.name),
                functools.partial(self._cancel, actor.name),
                tail=True,
                optional=True,
                once=True,
            )
            for actor in self.actors
            if actor.cancellable
        ]
        return [*starts, Event("time passes", self.can_pass_time, self.pass_time), *cancellations]

    def on_quiet(self) -> bool:
        """Nothing is left to happen. True after something was made to happen, False to end the run."""
        return False

    def can_cancel(self, name: str) -> bool:
        """Whether an actor can be cancelled now."""
        task = self.tasks.get(name)
        return task is not None and not task.done()

    def can_pass_time(self) -> bool:
        """Whether a timer of the loop is due later than now."""
        due = self.loop.next_timer_s()
        return due is not None and due > self.kernel.now_s

    def pass_time(self) -> None:
        """Set the clock to the next timer."""
        self.kernel.now_s = self.loop.next_timer_s() or self.kernel.now_s

    def invariant_of(self, _error: BaseException) -> str | None:
        """The invariant that an actor's exception violates; None if it may end so."""
        return "error"

    def may_be_cancelled(self, name: str) -> bool:
        """Whether an actor may end cancelled."""
        return name in self.cancelled

    def judge(self) -> None:
        """Note what the run violates."""
        for name, task in self.tasks.items():
            if not self.ended(task):
                where = (
                    "the loop's own thread waits for a lock"
                    if self.loop.in_handle
                    else "nothing is left that could wake it"
                )
                self.fail(self.HUNG, f"{name} waits without end: {where}")
            elif task.cancelled():
                if not self.may_be_cancelled(name):
                    self.fail("unexpected_cancellation", f"{name} was cancelled without a request for it")
            elif (error := task.exception()) is not None:
                invariant = self.invariant_of(error)
                if invariant is not None:
                    self.fail(invariant, f"{name}: {describe(error)}")
            elif name in self.cancelled:
                self.fail("cancellation_lost", f"{name} was cancelled, and went on to its end")

    def tear_down(self) -> None:
        """After the run, in any state."""
        self.loop.abandon()

    # -- for a program and its witness ---------------------------------------------------------------------------

    def new_loop(self) -> ControlledLoop:
        """A loop of the calling thread."""
        return ControlledLoop(self.kernel, self.executors)

    def start(self, name: str, operation: str, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Make a task that a witness knows by its actor's name."""
        context = contextvars.copy_context()
        context.run(ACTOR.set, name)
        context.run(OPERATION.set, operation)
        self.tasks[name] = context.run(self.loop.create_task, coroutine)

    def fail(self, invariant: str, detail: str) -> None:
        """Note a failure."""
        self.failures.append(Failure(invariant, detail))

    @staticmethod
    def ended(task: asyncio.Task[Any]) -> bool:
        """Whether a task ended by itself, and not with the run."""
        return task.done() and (task.cancelled() or not isinstance(task.exception(), AbandonedError))

    def _play(self) -> None:
        self.prepare()
        kernel = self.kernel
        kernel.events = self.events()
        kernel.on_quiet = self.on_quiet
        kernel.appended = self.loop.appended
        if self.observer is not None:
            self.observer.attach(self)
        kernel.choosing = True
        self.loop.run_forever()

    def _can_start(self, name: str, before: str | None) -> bool:
        return name not in self.tasks and (before is None or before in self.tasks)

    def _start(self, actor: Actor) -> None:
        self.start(actor.name, actor.operation, actor.run(actor.name))

    def _cancel(self, name: str) -> None:
        context = contextvars.copy_context()
        context.run(ACTOR.set, name)
        context.run(OPERATION.set, "is cancelled")
        self.loop.call_soon(self._cancel_task, name, context=context)

    def _cancel_task(self, name: str) -> None:
        # False: the task had ended meanwhile, so it is not expected to end cancelled.
        if self.tasks[name].cancel():
            self.cancelled.add(name)


def describe(error: BaseException) -> str:
    """An exception's class and text, without what differs from run to run and from machine to machine."""
    return f"{type(error).__name__}: {re.sub(r'<(Task|Future) .*>', r'<...>', str(error))}"
