"""The triggerer's supervisor, as far as the stream goes: a thread that answers over a real socket pair.

It reads and writes Airflow's own frames. It answers when it is told to, so that a test decides what is in
flight.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import msgspec

TIMEOUT_S = 10.0


class Supervisor:
    """Answers ``GetVariable(key)`` with ``VariableResult(key, key)``; holds its answers while paused."""

    def __init__(self) -> None:
        self.theirs, self._mine = socket.socketpair()
        self._mine.settimeout(TIMEOUT_S)
        self._allowed = threading.Event()
        self._allowed.set()
        self._received = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._serve, name="supervisor", daemon=True)

    def __enter__(self) -> Supervisor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self._thread.join(TIMEOUT_S)

    def pause(self) -> None:
        """Receive requests, but don't answer yet."""
        self._allowed.clear()

    def resume(self) -> None:
        """Answer what was received, and what comes."""
        self._allowed.set()

    def wait_received(self, count: int = 1) -> None:
        """Wait until this many more requests have come; call it in a thread, not on the runner's loop."""
        for _ in range(count):
            if not self._received.acquire(timeout=TIMEOUT_S):
                raise TimeoutError(f"waited {TIMEOUT_S:.0f} s for a request")

    def hang_up(self) -> None:
        """Close the stream, as a supervisor that dies."""
        with contextlib.suppress(OSError):  # closed before
            self._mine.shutdown(socket.SHUT_RDWR)
        self._allowed.set()

    def send_garbage(self) -> None:
        """Put a frame that can't be decoded on the stream."""
        self._mine.sendall((3).to_bytes(4, "big") + b"\\xc1\\xc1\\xc1")

    def greet(self) -> None:
        """The first message, which nobody asked for, with the id of the first request."""
        from airflow.jobs.triggerer_job_runner import messages

        self._send(0, messages.StartTriggerer().model_dump())

    def _send(self, frame_id: int, body: dict[str, Any]) -> None:
        from airflow.sdk.execution_time.comms import _ResponseFrame

        self._mine.sendall(_ResponseFrame(id=frame_id, body=body).as_bytes())

    def _receive(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            part = self._mine.recv(length - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _serve(self) -> None:
        from airflow.sdk.execution_time.comms import _RequestFrame

        decoder = msgspec.msgpack.Decoder(_RequestFrame)
        try:
            while True:
                request = decoder.decode(self._receive(int.from_bytes(self._receive(4), "big")))
                self._received.release()
                self._allowed.wait(TIMEOUT_S)
                key = request.body["key"]
                self._send(request.id, {"type": "VariableResult", "key": key, "value": key})
        except (EOFError, OSError):
            self._mine.close()
