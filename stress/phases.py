"""The duration of each phase of a block, for the history."""

from __future__ import annotations

import time
from collections.abc import Callable

from stress.events import PhaseEnded

STARTING = "starting"
WARMING_UP = "warming up"
LOAD = "load"
HEALING = "healing"
SETTLING = "settling"
FINISHING = "finishing"
STOPPING = "stopping"
PHASES = (STARTING, WARMING_UP, LOAD, HEALING, SETTLING, FINISHING, STOPPING)
"""In the order in which a block goes through them; `healing` only with faults."""


class Phases:
    """The present phase of a block. `begin` ends the one before it and records its time."""

    def __init__(self, record: Callable[[PhaseEnded], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._record = record
        self._clock = clock
        self._phase: str | None = None
        self._began = 0.0

    def begin(self, phase: str) -> None:
        """The next phase."""
        self.end()
        self._phase, self._began = phase, self._clock()

    def end(self) -> None:
        """The end of the present phase, if there is one."""
        if self._phase is not None:
            phase, self._phase = self._phase, None
            self._record(PhaseEnded(phase=phase, seconds=round(self._clock() - self._began, 3)))
