"""The supervisor's end of the socket, in the same process, stepped by the schedule, with the release's own frames."""

from __future__ import annotations

import functools
import importlib
import socket
from collections.abc import Callable
from typing import Any

RUNNER = "airflow.jobs.triggerer_job_runner"
COMMS = "airflow.sdk.execution_time.comms"


class Supervisor:
    """Answers one request a step, in the order in which they came, as Airflow's does."""

    def __init__(self, end: socket.socket, split: bool) -> None:
        self.end = end
        self.end.setblocking(False)
        self.split = split
        self.gone = False
        self.received = bytearray()
        self.requests: list[Any] = []
        self.rest = b""
        self.last = -1
        """The frame that it answered last."""
        comms = importlib.import_module(COMMS)
        self._frame = comms._ResponseFrame
        self._decode = _request_decoder()

    def take(self) -> list[Any]:
        """Read what is there; gives the requests that are complete now."""
        if self.gone:
            return []
        try:
            self.received += self.end.recv(1 << 20)
        except BlockingIOError:
            return []
        except ConnectionError:
            self.gone = True
            return []
        new = []
        while len(self.received) >= 4:
            length = int.from_bytes(self.received[:4], "big")
            if len(self.received) < 4 + length:
                break
            new.append(self._decode(bytes(self.received[4 : 4 + length])))
            del self.received[: 4 + length]
        self.requests += new
        return new

    def can_answer(self) -> bool:
        """Whether a request, or the rest of an answer, is waiting."""
        if self.gone:
            return False
        if not self.requests and not self.rest:
            self.take()
        return bool(self.requests or self.rest)

    def answer(self) -> None:
        """Send one answer, or one piece of it."""
        if self.rest:
            self.end.sendall(self.rest)
            self.rest = b""
            return
        request = self.requests.pop(0)
        self.last = request.id
        encoded = bytes(self._frame(id=request.id, body=_answer(request.body)).as_bytes())
        if self.split:
            # Behind the length and into the frame's body.
            encoded, self.rest = encoded[:6], encoded[6:]
        self.end.sendall(encoded)

    def greet(self) -> None:
        """The first message, which answers no request, with the id of the first request."""
        messages = importlib.import_module(RUNNER).messages
        self.end.sendall(self._frame(id=0, body=messages.StartTriggerer().model_dump()).as_bytes())

    def hang_up(self) -> None:
        """End, as a supervisor that was killed."""
        self.gone = True
        self.end.close()


def _answer(body: dict[str, Any]) -> dict[str, Any]:
    if body["type"] == "GetVariable":
        return {"type": "VariableResult", "key": body["key"], "value": body["key"]}
    if body["type"] == "TriggerStateChanges":
        return {"type": "TriggerStateSync", "to_create": [], "to_cancel": []}
    raise LookupError(f"this supervisor does not know the request {body['type']}")


@functools.cache
def _request_decoder() -> Callable[[bytes], Any]:
    msgspec = importlib.import_module("msgspec")
    decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder(importlib.import_module(COMMS)._RequestFrame).decode
    return decode
