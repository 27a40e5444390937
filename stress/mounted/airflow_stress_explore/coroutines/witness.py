"""A schedule told step by step: who did what, what it held, and what it waits for now.

Only a run that is to be told has a recorder. It looks and changes nothing that a schedule could see: it reads the
supervisor's end of the socket earlier than the supervisor would, and notes which frames the comms decode.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from typing import Any

from .comms import ACTOR, OPERATION, Stage, attributes, describe
from .threads import ControlledLock
from .world import Event

_AWAITED = {
    "StreamReader._wait_for_data": "bytes from the supervisor",
    "Lock.acquire": "the asyncio lock",
    "SyncToAsync.__call__": "its thread",
    "to_thread": "its thread",
    "RoutedTriggerComms._reply": "its answer",
    "TriggerCommsDecoder.asend": "its answer",
}


@dataclass
class Step:
    """One thing that happened."""

    actor: str
    operation: str
    what: str
    locks: list[str] = field(default_factory=list)
    waited_for: str | None = None
    outcome: str | None = None


class _NotingDecoder:
    """The comms' own frame decoder, and a note of each frame's id."""

    def __init__(self, decoder: Any, frames: list[int]) -> None:
        self._decoder = decoder
        self._frames = frames

    def decode(self, data: Any) -> Any:
        frame = self._decoder.decode(data)
        self._frames.append(frame.id)
        return frame


class Recorder:
    """Writes down a run's steps."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._frames: list[int] = []
        self._owners: dict[int, str] = {}
        self._holders: dict[str, str] = {}
        self._told: set[str] = set()
        self._stage: Stage

    def attach(self, stage: Stage) -> None:
        """Begin, once the comms are there."""
        self._stage = stage
        stage.comms.resp_decoder = _NotingDecoder(stage.comms.resp_decoder, self._frames)
        stage.world.on_event = self._event
        stage.executors.on_step = self._step

    def as_json(self) -> list[dict[str, Any]]:
        """The steps, as they are printed."""
        return [asdict(step) for step in self.steps]

    def finish(self) -> None:
        """Who still waits."""
        for name, task in self._stage.tasks.items():
            if self._stage.ended(task):
                continue
            if task.done():
                still = "holds the loop's thread, which stands still for ever"
                self._add(name, self._operation(name), still, "a lock that somebody else holds")
            else:
                self._add(name, self._operation(name), "waits for ever", _awaited(task))

    def _operation(self, name: str) -> str:
        return next((actor.operation for actor in self._stage.pair.actors if actor.name == name), "state sync")

    def _event(self, event: Event) -> None:
        verb, _, name = event.name.partition(" ")
        if verb == "answer":
            sent = self._stage.supervisor.last
            owner = self._owners.get(sent, "")
            piece = ", its first piece" if self._stage.supervisor.rest else ""
            self._add("supervisor", "answers", f"answers frame {sent}, of {owner}{piece}")
        elif verb == "start":
            self._add(name, self._operation(name), "starts")
        elif verb == "cancel":
            self._add(name, self._operation(name), "its cancellation is asked for")
        elif verb == "supervisor":
            self._add("supervisor", "ends", "closes its end of the socket")
        else:
            self._add("clock", event.name, f"it is {self._stage.world.now_s:g} s")

    def _step(self, loop: Any, handle: Any) -> None:
        stage = self._stage
        if handle in loop.io_handles:
            self._add("loop", "reads", "reads what the supervisor sent")
            return
        name = handle._context.get(ACTOR) or "loop"
        operation = handle._context.get(OPERATION) or "the loop's own"
        parts = []
        for request in stage.supervisor.take():
            self._owners[request.id] = name
            key = request.body.get("key")
            parts.append(f"writes frame {request.id} ({request.body['type']}{f' {key}' if key else ''})")
        parts += [f"takes frame {frame}, of {self._owners.get(frame, 'nobody')}" for frame in self._frames]
        self._frames.clear()
        task = stage.tasks.get(name)
        outcome = _outcome(task) if task is not None and task.done() and name not in self._told else None
        if outcome is not None:
            self._told.add(name)
        waits = _awaited(task) if task is not None and not task.done() else None
        # What only passes a result on is a step of the schedule, and nothing to tell.
        if parts or outcome or isinstance(getattr(handle._callback, "__self__", None), asyncio.Task):
            elsewhere = "" if loop is stage.loop else " (in a loop of its thread's own)"
            self._add(name, operation, (", ".join(parts) or _what(handle)) + elsewhere, waits, outcome)

    def _add(
        self, actor: str, operation: str, what: str, waited_for: str | None = None, outcome: str | None = None
    ) -> None:
        for lock in attributes(self._stage.comms):
            value = getattr(self._stage.comms, lock, None)
            if isinstance(value, (asyncio.Lock, ControlledLock)):
                if not value.locked():
                    self._holders.pop(lock, None)
                else:
                    self._holders.setdefault(lock, actor)
        held = [lock for lock, holder in self._holders.items() if holder == actor]
        self.steps.append(Step(actor, operation, what, held, waited_for, outcome))


def _what(handle: Any) -> str:
    return "is told so" if getattr(handle._callback, "__name__", "") == "_cancel_task" else "goes on"


def _outcome(task: asyncio.Task[Any]) -> str:
    if task.cancelled():
        return "is cancelled"
    error = task.exception()
    return "ends" if error is None else describe(error)


def _awaited(task: asyncio.Task[Any]) -> str | None:
    """What a task waits for: the innermost coroutine that says something."""
    names = []
    inner: Any = task.get_coro()
    while inner is not None and (code := getattr(inner, "cr_code", None)) is not None:
        names.append(getattr(code, "co_qualname", code.co_name))
        inner = inner.cr_await
    for name in reversed(names):
        for known, meaning in _AWAITED.items():
            if name.endswith(known):
                return meaning
    return names[-1] if names else None
