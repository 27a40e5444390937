"""Fix ``triggerer_comms``: every trigger gets the reply to its own request (#64620, releases 3.1.0 to 3.2.1).

The defect
    In the trigger runner, ``asend()`` writes a request and then reads one frame from the stream, under a
    lock. A coroutine that is cancelled between the two (a trigger's timeout, a task marked failed while its
    trigger polls) leaves its reply unread. The next caller reads that stale reply and raises ``Response read
    out of order``; from then on every caller is off by one, the runner's own state sync included, and the
    runner dies with all its triggers.

The invariant
    One task, on the loop that made the stream, reads it, and hands each frame to the waiter registered under
    the frame's id. Hence (1) a caller gets the reply to its own request or an error, even if others were
    cancelled and when; (2) a request's bytes enter the stream whole and from one thread; (3) once reading
    has ended, every waiter and every later caller fails at once and none waits without end.

Why the obvious repair is wrong
    A lock, of any kind, orders the callers; it can't give back a frame that a cancelled caller left
    behind. A *thread* lock held across an ``await`` also stops the loop itself: the second coroutine blocks
    the only thread on which the first could finish (see ``proposed_thread_lock``). Shielding the read from
    cancellation only moves the problem: the trigger then can't be cancelled while the supervisor is slow.

What stays
    ``send()`` on the loop's own thread can't wait for its reply. It raises ``RuntimeError`` with the very
    words that the stock method raises through asgiref, because the SDK's ``get_connection`` looks for them
    to fall back to greenback; other words would silently lose the connection. Frames still answer 0 for both
    the first message, which the supervisor sends unasked, and the first request: the runner waits for the
    former before it sends the latter.

Its test: ``tests/airflow/test_out_of_order_frame_triggerer_comms.py``.
"""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import TYPE_CHECKING, Any

from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import spread

if TYPE_CHECKING:
    from collections.abc import Callable

_RUNNER = "airflow.jobs.triggerer_job_runner"
_COMMS = "airflow.sdk.execution_time.comms"

# The beginning is a contract: ExecutionAPISecretsBackend.get_connection compares it (see the module's
# docstring).
_ON_LOOP_THREAD = (
    "You cannot use AsyncToSync in the same thread as an async event loop - a synchronous call would block "
    "the triggerer's loop, which alone can read its reply: await the asynchronous method instead, or "
    "call it in another thread with sync_to_async."
)


class SupervisorGoneError(ConnectionError):
    """The stream to the triggerer's supervisor has ended or broke, so no reply can come any more."""


def apply(module: ModuleType) -> None:
    """Replace the decoder that ``TriggerRunner.init_comms`` looks up in its module."""
    module.TriggerCommsDecoder = routed(module.TriggerCommsDecoder)  # type: ignore[attr-defined]


def routed(stock: Any) -> type[Any]:
    """Make a subclass of the stock decoder in which one task reads and replies are routed by frame id.

    Long, because it is one class: its base is known only in a process that has imported Airflow.
    """
    from airflow.sdk.execution_time.comms import _RequestFrame
    from asgiref.sync import async_to_sync

    class RoutedTriggerComms(stock):  # type: ignore[misc]
        """Owns the stream on the loop in which it was made; may be called from any thread and any loop."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._owner = asyncio.get_running_loop()
            self._waiters: dict[int, asyncio.Future[Any]] = {}
            self._reader: asyncio.Task[None] | None = None
            self._ended: BaseException | None = None

        def send(self, msg: Any) -> Any:
            """Send a request from another thread and block that thread until its reply is there."""
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                # Under sync_to_async this runs asend on the owner's loop and passes a cancellation on to it;
                # in any other thread it runs in another loop, from which asend submits to the owner.
                return async_to_sync(self.asend)(msg)
            raise RuntimeError(_ON_LOOP_THREAD)

        async def asend(self, msg: Any) -> Any:
            """Send a request and return its reply; cancelling it abandons the reply and nothing else."""
            if asyncio.get_running_loop() is not self._owner:
                submitted = asyncio.run_coroutine_threadsafe(self.asend(msg), self._owner)
                return await asyncio.wrap_future(submitted)
            # Encoded before anything is registered: a trigger's event that can't be encoded concerns its
            # caller only.
            frame = _RequestFrame(id=next(self.id_counter), body=msg.model_dump())
            encoded = frame.as_bytes()
            return await self._reply(frame.id, lambda: self._async_writer.write(encoded))

        async def _aget_response(self, expect_id: int) -> Any:
            """Wait for a frame that comes unasked: the supervisor's first message."""
            return await self._reply(expect_id, lambda: None)

        async def _reply(self, frame_id: int, ask: Callable[[], None]) -> Any:
            if self._ended is not None:
                raise SupervisorGoneError("the connection to the supervisor has ended") from self._ended
            waiter: asyncio.Future[Any] = self._owner.create_future()
            self._waiters[frame_id] = waiter
            if self._reader is None:
                self._reader = self._owner.create_task(self._read_frames(), name="trigger-comms-reader")
            try:
                # Not awaited: the transport buffers the whole frame, so no cancellation can cut it in two.
                ask()
                frame = await waiter
            finally:
                self._waiters.pop(frame_id, None)
            return self._from_frame(frame)

        async def _read_frames(self) -> None:
            """Read until the stream ends, then fail everybody who waits."""
            try:
                while True:
                    length = int.from_bytes(await self._async_reader.readexactly(4), byteorder="big")
                    frame = self.resp_decoder.decode(await self._async_reader.readexactly(length))
                    waiter = self._waiters.pop(frame.id, None)
                    # No waiter, or one just cancelled: the reply has no owner, and is dropped here.
                    if waiter is not None and not waiter.done():
                        waiter.set_result(frame)
            # Not only Exception: a cancelled reader (the loop is closing) must not leave a waiter behind
            # either.
            except BaseException as error:
                self._ended = error
                for waiter in self._waiters.values():
                    if not waiter.done():
                        gone = SupervisorGoneError(f"the connection to the supervisor has ended: {error!r}")
                        gone.__cause__ = error
                        waiter.set_exception(gone)
                self._waiters.clear()
                if not isinstance(error, Exception):
                    raise

        async def _aread_frame(self) -> Any:
            raise RuntimeError("only the reader task may read the triggerer's stream")

        def _read_frame(self, maxfds: int | None = None) -> Any:  # noqa: ARG002 - the stock signature
            raise RuntimeError("only the reader task may read the triggerer's stream")

    RoutedTriggerComms.__qualname__ = RoutedTriggerComms.__name__ = stock.__name__
    return RoutedTriggerComms


FIX = Fix(
    thread=64620,
    place=1,
    summary="one reader task owns the triggerer's stream and routes each reply by its frame id",
    components=("triggerer",),
    targets=(
        Target(_RUNNER, "TriggerCommsDecoder"),
        Target(_RUNNER, "TriggerRunner.init_comms"),
        Target(_RUNNER, "TriggerRunner.arun"),
        Target(_RUNNER, "TriggerRunner.sync_state_to_supervisor"),
        Target(_COMMS, "_RequestFrame"),
        Target(_COMMS, "CommsDecoder._from_frame"),
    ),
    releases={**spread("3.1.0..3.2.1", Fit.APPLIES), **spread("3.2.2..3.4.0b2", Fit.NOT_NEEDED)},
    apply=apply,
    excludes=("proposed_thread_lock",),
    databases=(),
)
