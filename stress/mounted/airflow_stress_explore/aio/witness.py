"""A schedule step by step: what each actor did, which locks it held, and what it waited for.

Only a run that is shown has a recorder. It observes, and changes nothing that a schedule could see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_stress_explore.aio.kernel import Event
from airflow_stress_explore.aio.testbed import ACTOR, OPERATION, Testbed, describe
from airflow_stress_explore.aio.threads import ControlledLock
from airflow_stress_explore.core.frames import raising_frame
from airflow_stress_explore.core.schedule_table import Row

_AWAITED = {"Lock.acquire": "the asyncio lock", "to_thread": "its thread"}


class Recorder:
    """Writes down a run's steps. Override what a program's events and handles mean."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._holders: dict[str, str] = {}
        self._ended: set[str] = set()
        self.testbed: Testbed

    def attach(self, testbed: Any) -> None:
        """Begin, once the run is prepared."""
        self.testbed = testbed
        testbed.kernel.on_event = self.on_event
        testbed.executors.on_step = self.on_step

    def finish(self) -> None:
        """Note the actors that still wait."""
        for name, task in self.testbed.tasks.items():
            if self.testbed.ended(task):
                continue
            if task.done():
                still = "holds the loop's thread, which is blocked without end"
                self.add(name, self.operation_of(name), still, "a lock that another actor holds")
            else:
                self.add(name, self.operation_of(name), "waits without end", self.awaited(task))

    def operation_of(self, name: str) -> str:
        """What an actor does."""
        return next((actor.operation for actor in self.testbed.actors if actor.name == name), "")

    def locks(self) -> Iterator[tuple[str, Any]]:
        """The locks of the program under test, by name."""
        return iter(())

    def awaits(self) -> Mapping[str, str]:
        """What is awaited inside of a coroutine, by the end of its qualified name."""
        return _AWAITED

    def actions(self, _actor: str) -> list[str]:
        """What the handle that has just run did, as far as the program's witness can see."""
        return []

    def on_event(self, event: Event) -> None:
        """An event from outside has happened."""
        verb, _, name = event.name.partition(" ")
        if verb == "start":
            self.add(name, self.operation_of(name), "starts")
        elif verb == "cancel":
            self.add(name, self.operation_of(name), "its cancellation is asked for")
        elif event.name == "time passes":
            self.add("clock", event.name, f"it is {self.testbed.kernel.now_s:g} s")
        else:
            self.add("outside", event.name, event.name)

    def on_step(self, loop: Any, handle: Any) -> None:
        """A handle has run."""
        testbed = self.testbed
        name = handle._context.get(ACTOR) or "loop"
        operation = handle._context.get(OPERATION) or "the loop's own"
        actions = self.actions(name)
        task = testbed.tasks.get(name)
        outcome, frame = None, ""
        if task is not None and task.done() and name not in self._ended:
            outcome, frame = _outcome(task), _frame(task)
            self._ended.add(name)
        waits = self.awaited(task) if task is not None and not task.done() else None
        # A handle that only passes a result on is a step of the schedule, and not shown.
        if actions or outcome or isinstance(getattr(handle._callback, "__self__", None), asyncio.Task):
            elsewhere = "" if loop is testbed.loop else " (in a loop of its thread's own)"
            self.add(name, operation, (", ".join(actions) or _what(handle)) + elsewhere, waits, outcome, frame)

    def awaited(self, task: asyncio.Task[Any]) -> str | None:
        """What a task waits for: the innermost coroutine with a known meaning."""
        names = []
        inner: Any = task.get_coro()
        while inner is not None and (code := getattr(inner, "cr_code", None)) is not None:
            names.append(getattr(code, "co_qualname", code.co_name))
            inner = inner.cr_await
        for name in reversed(names):
            for known, meaning in self.awaits().items():
                if name.endswith(known):
                    return meaning
        return names[-1] if names else None

    def add(
        self,
        actor: str,
        operation: str,
        what: str,
        waited_for: str | None = None,
        outcome: str | None = None,
        frame: str = "",
    ) -> None:
        """Note a step."""
        for name, lock in self.locks():
            if isinstance(lock, (asyncio.Lock, ControlledLock)):
                if not lock.locked():
                    self._holders.pop(name, None)
                else:
                    self._holders.setdefault(name, actor)
        held = [name for name, holder in self._holders.items() if holder == actor]
        self.rows.append(Row(actor, operation, what, held, waited_for, outcome, frame))


def _what(handle: Any) -> str:
    return "gets the cancellation" if getattr(handle._callback, "__name__", "") == "_cancel_task" else "goes on"


def _frame(task: asyncio.Task[Any]) -> str:
    error = None if task.cancelled() else task.exception()
    return raising_frame(error.__traceback__) if error is not None else ""


def _outcome(task: asyncio.Task[Any]) -> str:
    if task.cancelled():
        return "is cancelled"
    error = task.exception()
    return "ends" if error is None else describe(error)
