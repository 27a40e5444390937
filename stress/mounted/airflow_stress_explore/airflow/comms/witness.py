"""The steps of a run of the comms: which frames were written, answered and taken.

It reads the supervisor's end of the socket earlier than the supervisor would, and notes the frames that the comms
decode.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_stress_explore.aio.kernel import Event
from airflow_stress_explore.aio.witness import Recorder
from airflow_stress_explore.airflow.comms.testbed import CommsTestbed, attributes

_AWAITED = {
    "StreamReader._wait_for_data": "bytes from the supervisor",
    "Lock.acquire": "the asyncio lock",
    "SyncToAsync.__call__": "its thread",
    "to_thread": "its thread",
    "RoutedTriggerComms._reply": "its answer",
    "TriggerCommsDecoder.asend": "its answer",
}


class _NotingDecoder:
    """The comms' own frame decoder, and a note of each frame's id."""

    def __init__(self, decoder: Any, frames: list[int]) -> None:
        self._decoder = decoder
        self._frames = frames

    def decode(self, data: Any) -> Any:
        frame = self._decoder.decode(data)
        self._frames.append(frame.id)
        return frame


class CommsRecorder(Recorder):
    """Writes down a run's steps."""

    def __init__(self) -> None:
        super().__init__()
        self._frames: list[int] = []
        self._owners: dict[int, str] = {}
        self._comms: CommsTestbed

    def attach(self, testbed: CommsTestbed) -> None:
        """Begin, once the comms are there."""
        super().attach(testbed)
        self._comms = testbed
        testbed.comms.resp_decoder = _NotingDecoder(testbed.comms.resp_decoder, self._frames)

    def operation_of(self, name: str) -> str:
        """What a caller does; the runner's is its own request."""
        return super().operation_of(name) or "state sync"

    def awaits(self) -> Mapping[str, str]:
        """What is awaited inside of a caller."""
        return _AWAITED

    def locks(self) -> Iterator[tuple[str, Any]]:
        """The comms' locks."""
        for name in attributes(self._comms.comms):
            yield name, getattr(self._comms.comms, name, None)

    def actions(self, actor: str) -> list[str]:
        """Frames that the last handle wrote and took."""
        parts = []
        for request in self._comms.supervisor.take():
            self._owners[request.id] = actor
            key = request.body.get("key")
            parts.append(f"writes frame {request.id} ({request.body['type']}{f' {key}' if key else ''})")
        parts += [f"takes frame {frame}, of {self._owners.get(frame, 'no request')}" for frame in self._frames]
        self._frames.clear()
        return parts

    def on_event(self, event: Event) -> None:
        """An event from outside has happened."""
        supervisor = self._comms.supervisor
        if event.name == "answer":
            owner = self._owners.get(supervisor.last, "")
            piece = ", its first piece" if supervisor.rest else ""
            self.add("supervisor", "answers", f"answers frame {supervisor.last}, of {owner}{piece}")
        elif event.name == "supervisor ends":
            self.add("supervisor", "ends", "closes its end of the socket")
        else:
            super().on_event(event)

    def on_step(self, loop: Any, handle: Any) -> None:
        """A handle has run."""
        if handle in loop.io_handles:
            self.add("loop", "reads", "reads what the supervisor sent")
        else:
            super().on_step(loop, handle)
