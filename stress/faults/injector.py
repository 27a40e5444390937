"""Injects a block's faults when they are due, and undoes every one of them in any case.

    faults = Injector(cluster, planned, load_s, record, interrupt.pause)
    faults.begin()                      # the load begins
    try:
        while ...: faults.poll()        # about twice a second
    finally:
        faults.heal_all()               # before anything else is done about the end

The undo is on the stack before the fault is injected; it is harmless if nothing was broken. `poll` waits for faults
that are shorter than a look. The event of a fault's end has its real duration: stopping a component's processes takes
some tens of milliseconds on a busy machine.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stress import events
from stress.cluster.base import Cluster
from stress.cluster.errors import ClusterError, ComponentFailed
from stress.faults import FAULTS
from stress.faults.base import PlannedFault
from stress.faults.schedule import TAIL_S

AWAITED_S = 0.5
"""Faults up to this length are undone before `poll` returns."""


class HealFailed(ClusterError):  # noqa: N818 - it says what happened
    """A fault could not be undone: from there on the block does not follow its plan."""


@dataclass(frozen=True)
class _Active:
    planned: PlannedFault
    since: float


class Injector:
    """One block's faults. `wait` sleeps so many seconds, or less if the run is interrupted."""

    def __init__(
        self,
        cluster: Cluster,
        planned: Sequence[PlannedFault],
        load_s: float,
        record: Callable[[events.AnyEvent], None],
        wait: Callable[[float], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._due = deque(planned)
        self._end_s = load_s - TAIL_S
        self._record = record
        self._wait = wait
        self._clock = clock
        self._began = 0.0
        self._active: list[_Active] = []

    def begin(self) -> None:
        """The load begins now."""
        self._began = self._clock()

    def poll(self) -> None:
        """Undo what has lasted long enough, and inject what is due. Raises ClusterError."""
        now = self._clock()
        for active in reversed(self._active):
            if now - active.since >= active.planned.seconds:
                self._undo(active)
        if self._active or not self._due or self._due[0].at_s > now - self._began:
            return
        if now - self._began > self._end_s:
            self._due.clear()  # delayed too long, by a target that was down or by a slow machine
        elif self._is_up(self._due[0].target):
            self._inject(self._due.popleft())

    def heal_all(self) -> None:
        """Undo everything that is still active, the newest first; nothing is injected after this.

        Each undo is tried, even if others fail. Raises HealFailed at the end if one failed.
        """
        self._due.clear()
        failures: list[str] = []
        unwritten: Exception | None = None
        while self._active:
            active = self._active.pop()
            error = ""
            try:
                FAULTS[active.planned.fault].heal(self._cluster, active.planned)
            except Exception as failure:
                error = str(failure) or type(failure).__name__
                failures.append(f"{active.planned.fault} of {active.planned.target}: {error}")
            try:
                self._record(self._healed(active, error))
            except Exception as failure:
                unwritten = failure
        if failures:
            raise HealFailed(f"a fault could not be undone: {'; '.join(failures)}") from unwritten
        if unwritten is not None:
            raise unwritten

    def _is_up(self, target: str) -> bool:
        """A component that is down cannot be a target; the database is assumed to be up."""
        return all(component.pid is not None for component in self._cluster.components if component.name == target)

    def _inject(self, planned: PlannedFault) -> None:
        active = _Active(planned, self._clock())
        self._active.append(active)
        self._record(
            events.FaultInjected(
                number=planned.number,
                fault=planned.fault,
                target=planned.target,
                planned_s=planned.seconds,
                detail=planned.detail,
            )
        )
        try:
            FAULTS[planned.fault].inject(self._cluster, planned)
        except ComponentFailed:
            self._undo(active, missed=True)
            return
        if planned.seconds <= AWAITED_S:
            if planned.seconds:
                self._wait(planned.seconds - (self._clock() - active.since))
            self._undo(active)

    def _undo(self, active: _Active, *, missed: bool = False) -> None:
        """One that fails stays on the stack: `heal_all` tries again, and raises the error."""
        FAULTS[active.planned.fault].heal(self._cluster, active.planned)
        self._active.remove(active)
        self._record(self._healed(active, missed=missed))

    def _healed(self, active: _Active, error: str = "", *, missed: bool = False) -> events.FaultHealed:
        return events.FaultHealed(
            number=active.planned.number,
            fault=active.planned.fault,
            target=active.planned.target,
            seconds=round(self._clock() - active.since, 3),
            error=error,
            missed=missed,
        )
