"""Operations: coroutines that a trigger (or the runner) could run.

`needs` names what an operation uses of the release, so that one that a release lacks is reported, and the others still
run.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from airflow_stress_explore.airflow.comms.pairs import CommsPair
from airflow_stress_explore.airflow.comms.supervisor import COMMS, RUNNER
from airflow_stress_explore.airflow.comms.testbed import CommsTestbed, Operation
from airflow_stress_explore.core.schedulers import Option, Scheduler


class UnknownOperation(LookupError):  # noqa: N818 - it says what happened
    """This release lacks something that an operation needs: the message names it."""


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


async def _asend(testbed: CommsTestbed, name: str) -> None:
    testbed.check(name, name, await testbed.comms.asend(_variable(name)))


async def _asend_twice(testbed: CommsTestbed, name: str) -> None:
    for key in (f"{name}1", f"{name}2"):
        testbed.check(name, key, await testbed.comms.asend(_variable(key)))


async def _asend_and_ask_again(testbed: CommsTestbed, name: str) -> None:
    """As a BigQuery trigger: when it is cancelled, it asks for its task's state before it ends."""
    try:
        testbed.check(name, name, await testbed.comms.asend(_variable(name)))
    except asyncio.CancelledError:
        again = f"{name}, cancelled"
        testbed.check(name, again, await testbed.comms.asend(_variable(again)))
        raise


async def _sync_to_async(testbed: CommsTestbed, name: str) -> None:
    from asgiref.sync import sync_to_async

    testbed.check(name, name, await sync_to_async(testbed.comms.send)(_variable(name)))


async def _sync_to_async_any_thread(testbed: CommsTestbed, name: str) -> None:
    from asgiref.sync import sync_to_async

    testbed.check(name, name, await sync_to_async(testbed.comms.send, thread_sensitive=False)(_variable(name)))


async def _send_on_the_loop(testbed: CommsTestbed, name: str) -> None:
    """A synchronous call in a trigger's own coroutine, and the SDK's way out where the release refuses it."""
    greenback: Any = importlib.import_module("greenback")
    await greenback.ensure_portal()  # as run_trigger does
    try:
        reply = testbed.comms.send(_variable(name))
    except RuntimeError as error:
        if not str(error).startswith("You cannot use AsyncToSync in the same thread as an async event loop"):
            raise
        reply = await testbed.comms.asend(_variable(name))
    testbed.check(name, name, reply)


async def _to_thread(testbed: CommsTestbed, name: str) -> None:
    testbed.check(name, name, await asyncio.to_thread(testbed.comms.send, _variable(name)))


async def _state_sync(testbed: CommsTestbed, _name: str) -> None:
    await testbed.runner.sync_state_to_supervisor([])


async def _idle(_testbed: CommsTestbed) -> None:
    await asyncio.Event().wait()


async def _asks_at_its_end(testbed: CommsTestbed) -> None:
    """As a BigQuery trigger: whenever it is cancelled, it asks for its task's state before it ends."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await testbed.comms.asend(_variable("its task's state"))
        raise


async def _runner_loop(
    testbed: CommsTestbed, _name: str, trigger: Callable[[CommsTestbed], Coroutine[Any, Any, None]] = _idle
) -> None:
    """The runner's main loop, with one trigger, on the comms of the testbed."""
    runner = testbed.runner

    async def no_comms() -> None:
        pass

    async def no_watchdog() -> None:
        await asyncio.Event().wait()  # the stock one asks for the time ten times a second, and does nothing else

    runner.init_comms, runner.block_watchdog = no_comms, no_watchdog
    task = asyncio.get_running_loop().create_task(trigger(testbed))
    runner.triggers[1] = {"task": task, "is_watcher": False, "name": "a trigger", "events": 0}
    await runner.arun()


async def _runner_process(testbed: CommsTestbed, name: str) -> None:
    """As `TriggerRunner.run`: the loop, and then what `asyncio.run` does with all tasks that are left."""
    try:
        await _runner_loop(testbed, name, _asks_at_its_end)
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


@functools.cache
def missing(pair: CommsPair) -> str | None:
    """What this release lacks of what the pair uses, as a sentence; None if nothing."""
    lacking = []
    for operation, needs in [("", _ALWAYS), *((a.operation, OPERATIONS[a.operation].needs) for a in pair.callers)]:
        for module, name in needs:
            try:
                functools.reduce(getattr, name.split("."), importlib.import_module(module))
            except (ImportError, AttributeError) as error:
                lacking.append(f"{operation or 'every operation'} uses {module}.{name}: {error}")
    return "; ".join(lacking) or None


def maker_of(pair: CommsPair) -> Callable[[Scheduler[Option]], CommsTestbed]:
    """A function from a scheduler to a testbed. Raises UnknownOperation if this release lacks something."""
    lack = missing(pair)
    if lack is not None:
        raise UnknownOperation(lack)
    operations = {actor.operation: OPERATIONS[actor.operation].run for actor in pair.callers}
    return lambda scheduler: CommsTestbed(pair, operations, scheduler)
