"""Proposal ``proposed_thread_lock``: a thread lock around write and read (#64620).

What the report proposes (#64620, its "minimal fix"; the pull request #65622 moves the same lock into its own
method)
    The defect is seen as an ``asyncio.Lock`` that guards one event loop only. So ``asend()`` encodes the
    request as before, and then holds a ``threading.Lock`` while it writes the frame and awaits the reply.

What it really does
    - It leaves the defect: the cause is a cancelled caller whose reply stays on the stream, and no lock
      reads it.
    - It adds a hang: the first coroutine holds the lock across its ``await``; the second one, on the same
      loop, blocks the loop's thread on the lock, and with it the only thread on which the first could get
      its reply. A runner that hangs has no frames out of order, so a check that only counts those calls it
      repaired.
    - Its report's alternative, an ``RLock``, doesn't hang, because all coroutines of a loop are one thread
      to it, and for the same reason protects nothing between them.

Its test: ``tests/airflow/test_out_of_order_frame_proposed_thread_lock.py``.
"""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

from airflow_stress_fixes.fix import Fix
from airflow_stress_fixes.out_of_order_frame import triggerer_comms


def apply(module: ModuleType) -> None:
    """Replace the decoder that ``TriggerRunner.init_comms`` looks up in its module."""
    module.TriggerCommsDecoder = locked(module.TriggerCommsDecoder)  # type: ignore[attr-defined]


def locked(stock: Any) -> type[Any]:
    """Make a subclass of the stock decoder as the report words it."""
    from airflow.sdk.execution_time.comms import _RequestFrame
    from asgiref.sync import async_to_sync

    class ThreadLockedTriggerComms(stock):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._proposed_lock = threading.Lock()

        def send(self, msg: Any) -> Any:
            # The stock method of 3.1, which the proposal leaves alone. 3.2.1 holds its own thread lock
            # here.
            return async_to_sync(self.asend)(msg)

        async def asend(self, msg: Any) -> Any:
            frame = _RequestFrame(id=next(self.id_counter), body=msg.model_dump())
            encoded = frame.as_bytes()
            with self._proposed_lock:
                self._async_writer.write(encoded)
                return await self._aget_response(frame.id)

    ThreadLockedTriggerComms.__qualname__ = ThreadLockedTriggerComms.__name__ = stock.__name__
    return ThreadLockedTriggerComms


FIX = Fix(
    thread=64620,
    place=18,
    summary="as #64620 proposes: a threading.Lock held while a request is written and its reply is read",
    components=("triggerer",),
    targets=triggerer_comms.FIX.targets,
    releases=triggerer_comms.FIX.releases,
    apply=apply,
    proposed=True,
    excludes=("triggerer_comms",),
    databases=(),
)
