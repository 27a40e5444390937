"""Operations, pairs of them, and the twins of the races. A pair is a few lines to add.

An operation is a coroutine that a trigger (or the runner) could run; `needs` names what it uses of the release, so
that one that a release doesn't have is told, and the others still run.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from .comms import COMMS, RUNNER, Actor, Goes, Operation, Pair, Stage, UnknownOperationError
from .schedule import Chooser, Script, decode

_ALWAYS = (
    (RUNNER, "TriggerRunner.init_comms"),
    (RUNNER, "TriggerRunner.sync_state_to_supervisor"),
    (RUNNER, "TriggerCommsDecoder"),
    (RUNNER, "messages.StartTriggerer"),
    (RUNNER, "messages.TriggerStateChanges"),
    (RUNNER, "messages.TriggerStateSync"),
    (COMMS, "_RequestFrame.as_bytes"),
    (COMMS, "_ResponseFrame.as_bytes"),
)


def _variable(key: str) -> Any:
    return importlib.import_module(COMMS).GetVariable(key=key)


async def _asend(stage: Stage, name: str) -> None:
    stage.check(name, name, await stage.comms.asend(_variable(name)))


async def _asend_twice(stage: Stage, name: str) -> None:
    for key in (f"{name}1", f"{name}2"):
        stage.check(name, key, await stage.comms.asend(_variable(key)))


async def _asend_and_ask_again(stage: Stage, name: str) -> None:
    """As a BigQuery trigger: when it is cancelled it asks for its task's state before it lets go."""
    try:
        stage.check(name, name, await stage.comms.asend(_variable(name)))
    except asyncio.CancelledError:
        again = f"{name}, cancelled"
        stage.check(name, again, await stage.comms.asend(_variable(again)))
        raise


async def _sync_to_async(stage: Stage, name: str) -> None:
    from asgiref.sync import sync_to_async

    stage.check(name, name, await sync_to_async(stage.comms.send)(_variable(name)))


async def _sync_to_async_any_thread(stage: Stage, name: str) -> None:
    from asgiref.sync import sync_to_async

    stage.check(name, name, await sync_to_async(stage.comms.send, thread_sensitive=False)(_variable(name)))


async def _send_on_the_loop(stage: Stage, name: str) -> None:
    """A synchronous call in a trigger's own coroutine, and the SDK's way out where the release refuses it."""
    greenback: Any = importlib.import_module("greenback")
    await greenback.ensure_portal()  # as run_trigger does
    try:
        reply = stage.comms.send(_variable(name))
    except RuntimeError as error:
        if not str(error).startswith("You cannot use AsyncToSync in the same thread as an async event loop"):
            raise
        reply = await stage.comms.asend(_variable(name))
    stage.check(name, name, reply)


async def _to_thread(stage: Stage, name: str) -> None:
    stage.check(name, name, await asyncio.to_thread(stage.comms.send, _variable(name)))


async def _state_sync(stage: Stage, _name: str) -> None:
    await stage.runner.sync_state_to_supervisor([])


async def _idle(_stage: Stage) -> None:
    await asyncio.Event().wait()


async def _asks_at_its_end(stage: Stage) -> None:
    """As a BigQuery trigger: whoever cancels it, it asks for its task's state before it lets go."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await stage.comms.asend(_variable("its task's state"))
        raise


async def _runner_loop(stage: Stage, _name: str, trigger: Callable[[Stage], Coroutine[Any, Any, None]] = _idle) -> None:
    """The runner's main loop, with one trigger, on the comms that there are."""
    runner = stage.runner

    async def no_comms() -> None:
        pass

    async def no_watchdog() -> None:
        await asyncio.Event().wait()  # the stock one asks for the time ten times a second, and does nothing else

    runner.init_comms, runner.block_watchdog = no_comms, no_watchdog
    task = asyncio.get_running_loop().create_task(trigger(stage))
    runner.triggers[1] = {"task": task, "is_watcher": False, "name": "a trigger", "events": 0}
    await runner.arun()


async def _runner_process(stage: Stage, name: str) -> None:
    """As `TriggerRunner.run`: the loop, and then what `asyncio.run` does with all who are left."""
    try:
        await _runner_loop(stage, name, _asks_at_its_end)
    finally:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


@dataclass(frozen=True)
class _Known:
    run: Operation
    needs: tuple[tuple[str, str], ...]


_ASK = (COMMS, "GetVariable")
_ASEND = (RUNNER, "TriggerCommsDecoder.asend")
_SEND = (RUNNER, "TriggerCommsDecoder.send")
_LOOP = ((RUNNER, "TriggerRunner.arun"), (RUNNER, "TriggerRunner.block_watchdog"))
OPERATIONS: dict[str, _Known] = {
    "asend": _Known(_asend, (_ASK, _ASEND)),
    "asend, twice": _Known(_asend_twice, (_ASK, _ASEND)),
    "asend, and again when cancelled": _Known(_asend_and_ask_again, (_ASK, _ASEND)),
    "sync_to_async(send)": _Known(_sync_to_async, (_ASK, _SEND)),
    "sync_to_async(send), any thread": _Known(_sync_to_async_any_thread, (_ASK, _SEND)),
    "send, on the loop": _Known(_send_on_the_loop, (_ASK, _ASEND, _SEND)),
    "to_thread(send)": _Known(_to_thread, (_ASK, _SEND)),
    "state sync": _Known(_state_sync, ((RUNNER, "TriggerRunner.asend"),)),
    "the runner's loop": _Known(_runner_loop, _LOOP),
    "the runner's process": _Known(_runner_process, (_ASK, _ASEND, *_LOOP)),
}

PAIRS = (
    Pair(
        "comms_with_cancellation",
        "the runner's state sync, a caller of asend that asks twice, and one that is cancelled at any of its awaits",
        (Actor("A", "asend, twice"), Actor("B", "asend", cancelled=True), Actor("R", "state sync")),
    ),
    Pair(
        "comms_with_cancellation_and_sync",
        "the runner's state sync beside a caller that asks again when it is cancelled, as a BigQuery trigger does",
        (Actor("R", "state sync"), Actor("B", "asend, and again when cancelled", cancelled=True)),
    ),
    Pair(
        "comms_with_two_cancellations",
        "the runner's state sync beside two callers, both cancelled",
        (Actor("R", "state sync"), Actor("B", "asend", cancelled=True), Actor("C", "asend", cancelled=True)),
    ),
    Pair(
        "comms_with_split_answers",
        "as comms_with_cancellation, with answers that come in two pieces",
        (Actor("A", "asend"), Actor("B", "asend", cancelled=True)),
        split_answers=True,
    ),
    Pair(
        "comms_with_sync_to_async",
        "a caller of asend, and one of sync_to_async(send) that is cancelled",
        (Actor("A", "asend"), Actor("B", "sync_to_async(send)", cancelled=True)),
    ),
    Pair(
        "comms_with_two_sync_to_async",
        "two callers of sync_to_async(send) in threads of their own, one of them cancelled",
        (
            Actor("B", "sync_to_async(send), any thread", cancelled=True),
            Actor("C", "sync_to_async(send), any thread"),
        ),
    ),
    Pair(
        "comms_with_foreign_thread",
        "a caller of asend, and one in a thread that knows no event loop",
        (Actor("A", "asend"), Actor("T", "to_thread(send)")),
    ),
    Pair(
        "comms_with_send_on_the_loop",
        "a trigger that calls send in its own coroutine, and one of sync_to_async(send)",
        (Actor("A", "send, on the loop"), Actor("B", "sync_to_async(send)")),
    ),
    Pair(
        "comms_with_supervisor_gone",
        "two callers and a supervisor that ends at any time",
        (Actor("A", "asend"), Actor("R", "state sync")),
        supervisor_goes=Goes.PERHAPS,
        probe=False,
    ),
    Pair(
        "runner_with_supervisor_gone",
        "the runner's own loop, with one idle trigger, and a supervisor that ends within its first rounds",
        (Actor("R", "the runner's loop"),),
        supervisor_goes=Goes.AT_LAST,
        probe=False,
    ),
    Pair(
        "process_with_supervisor_gone",
        "the runner's loop and its process's end, with one trigger that asks when it is cancelled; a supervisor that "
        "ends within its first rounds",
        (Actor("R", "the runner's process"),),
        supervisor_goes=Goes.AT_LAST,
        probe=False,
    ),
)


@dataclass(frozen=True)
class Twin:
    """A race on demand: a pair, and what makes it happen there."""

    race: str
    summary: str
    pair: Pair
    events: tuple[str, ...] = ()
    """Each as soon as nothing else can go on."""
    schedule: str = ""
    """Instead of events, where something has to come while somebody else could go on."""

    def chooser(self) -> Chooser:
        """Who makes it happen, once."""
        return Chooser(decode(self.schedule)) if self.schedule else Script(events=self.events)


TWINS = (
    Twin(
        "out_of_order_frame_cancellation",
        "a caller is cancelled when its request is with the supervisor; then another one asks",
        Pair(
            "out_of_order_frame_cancellation",
            "",
            (Actor("B", "asend", cancelled=True), Actor("A", "asend")),
        ),
        ("start B", "cancel B", "start A"),
    ),
    Twin(
        "out_of_order_frame_thread",
        "a plain thread asks, with an event loop of its own, while a coroutine does",
        Pair("out_of_order_frame_thread", "", (Actor("T", "to_thread(send)"), Actor("A", "asend"))),
        ("start T", "start A"),
    ),
    Twin(
        "orphaned_runner_loop",
        "the supervisor ends between the runner's look at its reader and its next request",
        Pair(
            "orphaned_runner_loop",
            "",
            (Actor("R", "the runner's loop"),),
            supervisor_goes=Goes.AT_LAST,
            probe=False,
        ),
        schedule="b1b",
    ),
    Twin(
        "orphaned_runner_trigger",
        "the supervisor ends, the runner notices, and one of its triggers asks when it is cancelled",
        Pair(
            "orphaned_runner_trigger",
            "",
            (Actor("R", "the runner's process"),),
            supervisor_goes=Goes.AT_LAST,
            probe=False,
        ),
        ("start R", "supervisor ends"),
    ),
)


@functools.cache
def missing(pair: Pair) -> str | None:
    """What this release lacks of what the pair uses, as a sentence; None if nothing."""
    lacking = []
    for operation, needs in [("", _ALWAYS), *((a.operation, OPERATIONS[a.operation].needs) for a in pair.actors)]:
        for module, name in needs:
            try:
                functools.reduce(getattr, name.split("."), importlib.import_module(module))
            except (ImportError, AttributeError) as error:
                lacking.append(f"{operation or 'every operation'} uses {module}.{name}: {error}")
    return "; ".join(lacking) or None


def stage_maker(pair: Pair) -> Callable[[Any], Stage]:
    """Gives a function from a chooser to a stage; `UnknownOperationError` if this release lacks something."""
    lack = missing(pair)
    if lack is not None:
        raise UnknownOperationError(lack)
    operations = {actor.operation: OPERATIONS[actor.operation].run for actor in pair.actors}
    return lambda chooser: Stage(pair, operations, chooser)
