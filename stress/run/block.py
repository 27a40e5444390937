"""One block: one arm's turn.

    1. a cluster on a fresh database, started against its health conditions, and the scenarios' DAGs known to it;
       meanwhile the load generator imports
    2. observers, each of which must see its source
    3. the load, for a bounded time; meanwhile every half second: components, observers, faults, memory. However it
       ends, every fault is undone before anything else happens
    4. with faults: until every component has sent a heartbeat again, at most `HEALTHY_S`. Then the settling time:
       until every missed deadline's callback has run, at most `SETTLE_S`; with faults see `settling.py`
    5. the observers' last look, while the cluster still runs
    6. the end of everything that the block started

Everything that happens goes into the journal as it happens. A block that does not reach step 6 in order is not
complete, and is marked so.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from stress import events, phases
from stress.cluster.base import Cluster, EventKind
from stress.cluster.errors import ClusterError
from stress.cluster.supervision import procfs
from stress.components import Role
from stress.cpu import CpuMeter
from stress.faults.base import PlannedFault
from stress.faults.injector import Injector
from stress.history import Recorder
from stress.interrupt import Interrupt, Interrupted
from stress.load.generator import Load
from stress.observers.panel import Panel
from stress.observers.tail import SourceLost
from stress.phases import Phases
from stress.settling import Settling

POLL_S = 0.5
MEMORY_INTERVAL_S = 5.0
DAGS_TIMEOUT_S = 40.0
LOAD_START_TIMEOUT_S = 60.0
LOAD_POLL_S = 0.05
LOAD_STOP_TIMEOUT_S = 12.0
HEALTHY_S = 60.0

# The DAGs that the cluster can run: parsed, serialised, with a version.
_KNOWN_DAGS = "SELECT DISTINCT dag_id FROM serialized_dag"


class BlockFailed(ClusterError):  # noqa: N818 - it says what happened
    """The block could not be completed; the message says what to look at."""


DagsKnown = Callable[[], Iterable[str]]


@contextmanager
def known_dags(cluster: Cluster) -> Iterator[DagsKnown]:
    """Asks the cluster's database which DAGs it can run, with one connection for all calls."""
    with psycopg.connect(cluster.dsn("airflow-stress"), autocommit=True, connect_timeout=10) as connection:
        yield lambda: [row[0] for row in connection.execute(_KNOWN_DAGS)]


@dataclass(frozen=True)
class Turn:
    """The plan of one block: its arm, and what happens in it."""

    arm: str
    dags: tuple[str, ...]
    load_s: float
    faults: tuple[PlannedFault, ...]
    drains: bool
    """Whether finite runs are awaited to their end, as they are in runs with faults."""
    config: Mapping[str, str]
    """Airflow's, as the block's components have it."""


class Block:
    """Runs one block. `run` raises ClusterError if the machine or the cluster fails, Interrupted on a signal."""

    def __init__(
        self,
        turn: Turn,
        cluster: Cluster,
        load: Load,
        panel: Panel,
        record: Recorder,
        interrupt: Interrupt,
        *,
        phase: Callable[[str], None],
        directory: Path,
        dags: Callable[[Cluster], AbstractContextManager[DagsKnown]] = known_dags,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`phase` is called at each phase; `directory` has the logs; `dags` returns the DAGs that the cluster knows."""
        self._turn = turn
        self._cluster = cluster
        self._load = load
        self._panel = panel
        self._record = record
        self._interrupt = interrupt
        self._phase = phase
        self._directory = directory
        self._dags = dags
        self._clock = clock
        self._memory_at = -MEMORY_INTERVAL_S
        self._phases = Phases(record, clock)

    def run(self) -> None:
        """Steps 1 to 6."""
        self._record(events.BlockStarted(arm=self._turn.arm))
        reason = ""
        complete = False
        try:
            self._begin()
            self._go_through()
            complete = not self._interrupt.requested
            reason = "" if complete else "interrupted"
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise
        finally:
            with self._interrupt.shielded():
                self._end(reason, complete=complete)

    def _begin(self) -> None:
        """Step 1."""
        with self._interrupt.raising():
            self._phase("starting the cluster")
            self._phases.begin(phases.STARTING)
            began = self._clock()
            self._load.spawn()  # it imports while the cluster starts, and waits until it is released
            self._cluster.start()
            self._components()
            self._await_dags()
            self._record(events.ClusterReady(seconds=round(self._clock() - began, 3)))

    def _go_through(self) -> None:
        """Steps 2 to 5."""
        self._panel.start()
        cpu = self._start_load()
        self._phase("load")
        self._phases.begin(phases.LOAD)
        self._under_load(cpu)
        if self._turn.faults and not self._interrupt.requested:
            self._phase("waiting for every component")
            self._phases.begin(phases.HEALING)
            self._await_healthy()
        if not self._interrupt.requested:
            self._phase("settling")
            self._phases.begin(phases.SETTLING)
            self._settle()
        self._phases.begin(phases.FINISHING)
        self._panel.finish()
        self._components()
        self._sample_memory()

    def _end(self, reason: str, *, complete: bool) -> None:
        """Step 6."""
        self._phase("stopping the cluster")
        try:
            self._phases.begin(phases.STOPPING)
            self._load.end()
            self._panel.close()
            for report in self._load.reports():
                self._record(report)
        finally:
            try:
                self._record(events.BlockEnded(complete=complete, reason=reason))
            finally:  # also if the history cannot be written any more
                self._cluster.stop()
        self._phases.end()

    def _await_dags(self) -> None:
        missing = set(self._turn.dags)
        deadline = self._clock() + DAGS_TIMEOUT_S
        with self._dags(self._cluster) as known:
            while True:
                missing -= set(known())
                if not missing:
                    return
                if self._clock() > deadline:
                    raise BlockFailed(
                        f"the dag-processor did not bring in {', '.join(sorted(missing))} "
                        f"within {DAGS_TIMEOUT_S:.0f} s: see {self._directory / 'dag-processor.log'}"
                    )
                self._components()
                self._interrupt.pause(0.1)

    def _start_load(self) -> CpuMeter:
        """Release the load generator, and wait until the load begins; the CPU time counts from there."""
        self._phase("warming up")
        self._phases.begin(phases.WARMING_UP)
        self._load.release()
        deadline = self._clock() + LOAD_START_TIMEOUT_S
        while not self._load.begun():
            self._components()
            if self._load.wait(LOAD_POLL_S) is not None:
                raise BlockFailed(
                    f"the load generator ended with exit code {self._load.exit_code()} at its start; "
                    f"the end of its log:\n{self._load.log_tail()}"
                )
            if self._clock() > deadline:
                raise BlockFailed(
                    f"the load did not begin within {LOAD_START_TIMEOUT_S:.0f} s: with triggers in it, it waits until "
                    f"both triggerers answer some; see {self._directory / 'triggerer-1.log'} and the other beside it"
                )
            if self._interrupt.requested:
                raise Interrupted(self._interrupt.signal_number or signal.SIGINT)
        # Events up to here belong to the start, such as workers that found no api-server yet. They are written before
        # the load's beginning, so that they do not count as the load's.
        self._panel.poll()
        self._record(events.LoadStarted())
        return CpuMeter(self._cluster.cpu_seconds)

    def _under_load(self, cpu: CpuMeter) -> None:
        """Step 3: the load for its time; then it is asked to end."""
        began = self._clock()
        faults = Injector(self._cluster, self._turn.faults, self._turn.load_s, self._fault, self._interrupt.pause)
        faults.begin()
        try:
            self._watch(faults, cpu, began)
        finally:
            with self._interrupt.shielded():
                faults.heal_all()
        self._record(events.LoadStopped(seconds=round(min(self._clock() - began, self._turn.load_s), 3)))
        self._record(cpu.used())
        self._load.ask_to_end()

    def _fault(self, event: events.AnyEvent) -> None:
        self._record(event)
        if isinstance(event, events.FaultInjected):
            self._phase(f"load; {event.fault} {event.target}" + (f", {event.planned_s:g} s" if event.planned_s else ""))

    def _watch(self, faults: Injector, cpu: CpuMeter, began: float) -> None:
        while not self._interrupt.pause(POLL_S):
            self._components()
            faults.poll()
            self._panel.poll()
            if self._clock() - self._memory_at >= MEMORY_INTERVAL_S:
                self._sample_memory()
                cpu.sample()
            if self._load.exit_code() is not None:
                raise BlockFailed(
                    f"the load generator ended before its time, with exit code {self._load.exit_code()}; "
                    f"the end of its log:\n{self._load.log_tail()}"
                )
            if self._clock() - began >= self._turn.load_s:
                return

    def _await_healthy(self) -> None:
        """Wait until every component has sent a heartbeat since now. One without is reported, and is not an error."""
        since, began = time.time(), self._clock()
        while True:
            self._components()
            self._panel.poll()
            missing = self._cluster.unhealthy(since)
            elapsed = self._clock() - began
            if not missing or elapsed > HEALTHY_S or self._interrupt.requested:
                self._record(events.ComponentsHealthy(seconds=round(elapsed, 3), missing=sorted(missing)))
                return
            self._interrupt.pause(POLL_S)

    def _settle(self) -> None:
        settling = Settling(self._turn.config, self._clock, drains=self._turn.drains)
        while not self._interrupt.requested:
            self._components()
            self._panel.poll()
            if self._settled(settling):
                break
            self._interrupt.pause(POLL_S)
        self._load.wait(LOAD_STOP_TIMEOUT_S)

    def _settled(self, settling: Settling) -> bool:
        """One look; the last one records how the block settled."""
        try:
            unfinished = self._panel.aftermath(self._turn.drains)
            if unfinished is None:
                return True
            ended = settling.over(unfinished.callbacks(), unfinished.tasks(), runners=unfinished.runners())
        except SourceLost:
            return True  # the observer fails at its last look, too, and is blind then
        if ended:
            self._record(settling.said())
        return ended

    def _components(self) -> None:
        for event in self._cluster.poll():
            if event.role is Role.WATCHDOG:
                continue
            if event.kind is EventKind.EXITED:
                self._record(
                    events.ComponentExited(
                        component=event.component,
                        pid=event.pid,
                        code=event.exit_code or 0,
                        out_of_memory=event.out_of_memory,
                    )
                )
            else:
                self._record(events.ComponentStarted(component=event.component, pid=event.pid, restarts=event.restarts))

    def _sample_memory(self) -> None:
        self._memory_at = self._clock()
        self._record(
            events.MemorySampled(
                cluster_bytes=sum(self._cluster.memory_bytes().values()),
                harness_bytes=procfs.memory_bytes({os.getpid()} | self._load.processes()),
            )
        )
