"""The trigger runner's stream under cancellation, foreign threads and a dying supervisor (#64620)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from supervisor import Supervisor

from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit

FIX = "triggerer_comms"
TIMEOUT_S = 20.0
Scenario = Callable[[Any, Supervisor], Awaitable[Any]]


@pytest.fixture
def defect(release: str) -> bool:
    """Whether stock has the defect that the fix repairs."""
    return FIXES[FIX].fits(release) is Fit.APPLIES


def request(key: str) -> Any:
    """A trigger's request."""
    from airflow.sdk.execution_time.comms import GetVariable

    return GetVariable(key=key)


def on_stream(scenario: Scenario) -> Any:
    """Run a scenario with the decoder that a real ``init_comms`` makes of a real socket."""
    from airflow.jobs import triggerer_job_runner

    async def main(supervisor: Supervisor) -> Any:
        runner = object.__new__(triggerer_job_runner.TriggerRunner)  # a thread-less shell around init_comms
        supervisor.greet()
        await runner.init_comms()
        comms = runner.comms_decoder
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await scenario(comms, supervisor)
        finally:
            comms.socket.detach()  # a second owner of descriptor 0, which would close it again later
            comms._async_writer.close()
            with contextlib.suppress(OSError):
                await comms._async_writer.wait_closed()

    with Supervisor() as supervisor, as_stdin(supervisor.theirs):
        return asyncio.run(main(supervisor))


@contextlib.contextmanager
def as_stdin(stream: socket.socket) -> Iterator[None]:
    """The runner takes its socket from descriptor 0."""
    stdin = os.dup(0)
    os.dup2(stream.fileno(), 0)
    stream.close()
    try:
        yield
    finally:
        os.dup2(stdin, 0)
        os.close(stdin)


async def cancelled_after_the_write(comms: Any, supervisor: Supervisor) -> str:
    """A caller is cancelled when its request is with the supervisor; then another one asks."""
    supervisor.pause()
    abandoned = asyncio.create_task(comms.asend(request("abandoned")))
    await asyncio.to_thread(supervisor.wait_received)
    abandoned.cancel()
    await asyncio.gather(abandoned, return_exceptions=True)
    supervisor.resume()
    return str((await comms.asend(request("mine"))).value)


async def cancelled_in_a_thread(comms: Any, supervisor: Supervisor) -> str:
    """The same through ``sync_to_async(send)``, as a BigQuery trigger does it."""
    supervisor.pause()
    abandoned = asyncio.create_task(sync_to_async(comms.send)(request("abandoned")))
    await asyncio.to_thread(supervisor.wait_received)
    abandoned.cancel()
    await asyncio.gather(abandoned, return_exceptions=True)
    supervisor.resume()
    return str((await comms.asend(request("mine"))).value)


@pytest.mark.parametrize("scenario", [cancelled_after_the_write, cancelled_in_a_thread])
def test_next_caller_gets_its_own_reply(mounted: Any, defect: bool, scenario: Scenario) -> None:
    if defect:
        with pytest.raises(RuntimeError, match=r"Response read out of order! Got frame\.id=0, expect_id=1"):
            on_stream(scenario)
    else:
        assert on_stream(scenario) == "mine"

    with mounted(FIX) as status:
        assert status == {FIX: "loaded" if defect else "not_needed"}
        assert on_stream(scenario) == "mine"


async def thread_beside_the_loop(comms: Any, supervisor: Supervisor) -> list[str]:
    """A plain thread and the loop ask at the same time."""
    supervisor.pause()
    thread = asyncio.create_task(asyncio.to_thread(comms.send, request("thread")))
    await asyncio.to_thread(supervisor.wait_received)
    # The request has come, but its sender may not wait for the answer yet: an answer that is there before it looks
    # would be read by any loop.
    while not (thread.done() or comms._async_reader._waiter is not None):
        await asyncio.sleep(0)
    own = asyncio.create_task(comms.asend(request("loop")))
    await asyncio.sleep(0)  # one turn of the loop: it has written, or waits for the lock that the thread's loop holds
    supervisor.resume()
    return [reply.value for reply in await asyncio.gather(thread, own)]


def test_threads_may_ask_beside_the_loop(mounted: Any, defect: bool) -> None:
    if defect:
        with pytest.raises(RuntimeError):
            on_stream(thread_beside_the_loop)
    with mounted(FIX):
        assert on_stream(thread_beside_the_loop) == ["thread", "loop"]


async def many_cancelled_callers(comms: Any, _supervisor: Supervisor) -> int:
    """Sixteen callers of all kinds, half of whose requests are cancelled in flight; returns good replies."""

    async def caller(number: int) -> int:
        good = 0
        for turn in range(20):
            key = f"{number}-{turn}"
            send = comms.asend if number % 2 else sync_to_async(comms.send, thread_sensitive=number % 4 == 0)
            task = asyncio.ensure_future(send(request(key)))
            if turn % 2:
                await asyncio.sleep(0)
                task.cancel()
            reply = (await asyncio.gather(task, return_exceptions=True))[0]
            if not isinstance(reply, BaseException):
                assert reply.value == key
                good += 1
            elif not isinstance(reply, asyncio.CancelledError):
                raise reply
        return good

    return sum(await asyncio.gather(*(caller(number) for number in range(16))))


def test_load_of_cancelled_callers(mounted: Any) -> None:
    with mounted(FIX):
        assert on_stream(many_cancelled_callers) >= 16 * 10


async def supervisor_dies(comms: Any, supervisor: Supervisor) -> list[BaseException]:
    """Three callers wait, of three kinds; the supervisor goes; one more asks after that."""
    supervisor.pause()
    waiting = [
        asyncio.ensure_future(comms.asend(request("a"))),
        asyncio.ensure_future(sync_to_async(comms.send)(request("b"))),
        asyncio.ensure_future(asyncio.to_thread(comms.send, request("c"))),
    ]
    await asyncio.to_thread(supervisor.wait_received)
    supervisor.hang_up()
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    return [*errors, *await asyncio.gather(comms.asend(request("late")), return_exceptions=True)]


def test_dead_supervisor_fails_every_caller(mounted: Any, defect: bool) -> None:
    from airflow_stress_fixes.out_of_order_frame.triggerer_comms import SupervisorGoneError

    if not defect:
        pytest.skip("the decoder is upstream's own in this release: its behaviour isn't ours to test")
    with mounted(FIX):
        errors = on_stream(supervisor_dies)
    assert [type(error) for error in errors] == [SupervisorGoneError] * 4


async def garbage(comms: Any, supervisor: Supervisor) -> list[BaseException]:
    """A frame that can't be decoded: nothing after it can be trusted."""
    supervisor.pause()
    waiting = asyncio.ensure_future(comms.asend(request("a")))
    await asyncio.to_thread(supervisor.wait_received)
    supervisor.send_garbage()
    errors = await asyncio.gather(waiting, return_exceptions=True)
    return [*errors, *await asyncio.gather(comms.asend(request("late")), return_exceptions=True)]


def test_undecodable_frame_fails_every_caller(mounted: Any, defect: bool) -> None:
    from airflow_stress_fixes.out_of_order_frame.triggerer_comms import SupervisorGoneError

    if not defect:
        pytest.skip("the decoder is upstream's own in this release: its behaviour isn't ours to test")
    with mounted(FIX):
        assert [type(error) for error in on_stream(garbage)] == [SupervisorGoneError] * 2


async def sync_call_on_the_loop(comms: Any, _supervisor: Supervisor) -> str:
    """A synchronous send on the loop's own thread; returns its error's words."""
    try:
        comms.send(request("blocks"))
    except RuntimeError as error:
        return str(error)
    return "no error"


def test_sync_call_on_the_loop_raises_what_the_sdk_looks_for(mounted: Any, defect: bool) -> None:
    """ExecutionAPISecretsBackend compares these words; with others there is no connection."""
    if not defect:
        pytest.skip("the decoder is upstream's own in this release: its behaviour isn't ours to test")
    words = "You cannot use AsyncToSync in the same thread as an async event loop"
    assert on_stream(sync_call_on_the_loop).startswith(words)
    with mounted(FIX):
        assert on_stream(sync_call_on_the_loop).startswith(words)


async def event_that_cannot_be_encoded(comms: Any, _supervisor: Supervisor) -> str:
    """A request that msgpack refuses must fail its own caller and leave the stream whole."""

    class Unencodable:
        def model_dump(self) -> dict[str, Any]:
            return {"type": "TriggerStateChanges", "events": threading.Lock()}

    with pytest.raises((NotImplementedError, TypeError)):
        await comms.asend(Unencodable())
    return str((await comms.asend(request("mine"))).value)


def test_unencodable_request_concerns_its_caller_only(mounted: Any) -> None:
    with mounted(FIX):
        assert on_stream(event_that_cannot_be_encoded) == "mine"
