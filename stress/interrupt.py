"""Ctrl-C and SIGTERM: the first stops the load and judges what there is, the second only cleans up.

One context manager owns the handlers. During the load a signal only sets a flag, which the loop sees at once because it
waits on `pause`; while something is prepared or started, which can take a minute, it is raised as `Interrupted` at the
current statement. During clean-up, signals wait.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal asked the run to end. Not an `Exception`, so that no handler swallows it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class Interrupt:
    """The state of the run's interruption. Use in the main thread."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.count = 0
        self._event = threading.Event()
        self._raise_at = 0
        self._shielded = 0
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @property
    def requested(self) -> bool:
        """Whether any signal has come."""
        return self.count > 0

    def pause(self, seconds: float) -> bool:
        """Wait that long, or until a signal comes. True if one has."""
        # A signal handler runs in this thread: it ends the wait by setting the event it waits on.
        return self._event.wait(seconds)

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Inside, the first signal raises `Interrupted`; so does one that has already come."""
        if self.requested:
            raise Interrupted(self.signal_number or signal.SIGINT)
        self._raise_at += 1
        try:
            yield
        finally:
            self._raise_at -= 1

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Inside, no signal raises, so that clean-up always finishes."""
        self._shielded += 1
        try:
            yield
        finally:
            self._shielded -= 1

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self.signal_number = self.signal_number or number
        self._event.set()
        if not self._shielded and (self._raise_at or self.count > 1):
            raise Interrupted(number)
