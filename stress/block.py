"""One block: one arm's turn.

    1. a cluster on a fresh database, started against its health conditions, and the scenarios' DAGs known to it;
       meanwhile the load generator imports
    2. observers, each of which must see its source
    3. the load, for a bounded time; meanwhile every half second: components, observers, faults, memory. However it
       ends, every fault is undone before anything else happens
    4. with faults: until every component has given a sign of life again, at most `HEALTHY_S`. Then the settling time:
       until every missed deadline's callback has run, at most `SETTLE_S`; with faults see `settling.py`
    5. the observers' last look, while the cluster still runs
    6. the end of everything that the block started

Everything that happens goes into the journal as it happens. A block that doesn't come to step 6 in order is not
complete, and is marked so.
"""

from __future__ import annotations

import csv
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from stress import events, layout, phases
from stress.cluster import procfs
from stress.cluster.base import Cluster, ClusterSettings, EventKind, Role
from stress.cluster.errors import ClusterError
from stress.cluster.processes import Command, Label, Process, spawn, stop_all
from stress.cpu import CpuMeter
from stress.faults.injector import Injector
from stress.history import Entry, HistoryBroken, Journal
from stress.interrupt import Interrupt, Interrupted
from stress.observers.base import Observer
from stress.observers.component_logs import ComponentLogs
from stress.observers.database import Database
from stress.observers.execution_api import ExecutionApi
from stress.observers.harness_clock import HarnessClock
from stress.observers.load import Load
from stress.observers.postgres_log import PostgresLog
from stress.observers.receipts import FixReports, Receipts
from stress.observers.tail import SourceLost, Tail
from stress.phases import Phases
from stress.plan import Plan
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
    """The block could not be brought to its end; the message says what to look at."""


Listener = Callable[[Entry], None]


class Recorder:
    """Appends to the journal for one block, and tells whoever wants to know."""

    def __init__(self, journal: Journal, block: int | None, listeners: Sequence[Listener] = ()) -> None:
        self._journal = journal
        self.block = block
        self._listeners = tuple(listeners)

    def __call__(self, event: events.AnyEvent) -> None:
        entry = self._journal.append(event, self.block)
        for listener in self._listeners:
            listener(entry)


@dataclass
class _Watched:
    """An observer and whether it sees."""

    observer: Observer
    up: bool = False


class Observers:
    """All observers of a block: each failure is that observer's blindness, and nobody else's."""

    def __init__(self, observers: Sequence[Observer], record: Recorder) -> None:
        self._watched = [_Watched(observer) for observer in observers]
        self._record = record

    def start(self) -> None:
        """Start each; one that sees nothing is recorded as blind and not asked again."""
        for watched in self._watched:
            if self._guard(watched, lambda w=watched: w.observer.start() or ()):  # type: ignore[misc]
                watched.up = True
                self._record(events.ObserverUp(observer=watched.observer.name))

    def poll(self) -> None:
        """One look by each."""
        for watched in self._watched:
            if watched.up:
                self._guard(watched, watched.observer.poll)

    def finish(self) -> None:
        """The last look by each."""
        for watched in self._watched:
            if watched.up:
                self._guard(watched, watched.observer.finish)

    def close(self) -> None:
        """Let go of everything."""
        for watched in self._watched:
            watched.observer.close()

    def _guard(self, watched: _Watched, look: Callable[[], Iterable[events.AnyEvent]]) -> bool:
        try:
            for event in look():
                self._record(event)
        except SourceLost as lost:
            reason = str(lost)
        except HistoryBroken:
            raise
        except Exception as error:
            # What we can't read we have not seen: a defect of an observer must not pass for silence.
            reason = f"{type(error).__name__}: {error}"
        else:
            return True
        watched.up = False
        self._record(events.ObserverBlind(observer=watched.observer.name, reason=reason))
        return False


def observers_of(cluster: Cluster, plan: Plan) -> tuple[list[Observer], Database]:
    """All observers, whatever the scenarios: each race's harm can show in another's source."""
    if not plan.observers:
        # For measuring what observing costs: nothing but the count at the end, without which there is no measure.
        count = Database(cluster, sample=False)
        return [count], count
    database = Database(cluster)
    found: list[Observer] = [
        HarnessClock(),
        FixReports(cluster),
        Load(cluster),
        PostgresLog(cluster),
        ComponentLogs(cluster),
    ]
    # What a worker was told is read before what is stored, and what is stored before what a callback told: a last
    # look in this order never misses the older half of a comparison.
    if plan.workers == "hollow":
        found.append(ExecutionApi(cluster))
    return [*found, database, Receipts(cluster)], database


def cluster_settings(plan: Plan) -> ClusterSettings:
    """What every block's cluster is told, whatever the arm."""
    hollow = plan.workers == "hollow"
    return ClusterSettings(
        dags_folder=layout.DAGS,
        executor=layout.HOLLOW_EXECUTOR if hollow else "LocalExecutor",
        config={
            # Hollow workers cost next to nothing; real ones a CPU second each, so that more of them only queue.
            "core.parallelism": "64" if hollow else "4",
            "core.max_active_tasks_per_dag": "64",
            **plan.config,
        },
        environment={
            "AIRFLOW_STRESS_HOLLOW_WORKERS": "12",
            # As patient as Airflow's own worker while its api-server is started again: 0.3 s doubled 7 times, 38 s.
            **({"AIRFLOW_STRESS_HOLLOW_ATTEMPTS": "8"} if plan.faults else {}),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        pythonpath=(layout.HOLLOW,),
        fixes_directory=layout.FIXES,
    )


class Block:
    """Runs one block. `run` raises ClusterError if the machine or the cluster fails, Interrupted on a signal."""

    def __init__(
        self,
        plan: Plan,
        cluster: Cluster,
        label: Label,
        directory: Path,
        record: Recorder,
        interrupt: Interrupt,
        phase: Callable[[str], None],
        slot: int = 0,
    ) -> None:
        self._plan = plan
        self._cluster = cluster
        self._label = label
        self._directory = directory
        self._record = record
        self._interrupt = interrupt
        self._phase = phase
        self._faults = plan.faults_of(slot)
        self._load: Process | None = None
        self._load_started: float | None = None
        self._memory_at = 0.0
        self._cpu: CpuMeter | None = None
        self._phases = Phases(record)

    def run(self, arm: str) -> None:
        """Steps 1 to 6."""
        self._record(events.BlockStarted(arm=arm))
        observers: Observers | None = None
        reason = ""
        complete = False
        try:
            found, asked = self._begin()
            observers = Observers(found, self._record)
            self._go_through(observers, asked, arm)
            complete = not self._interrupt.requested
            reason = "" if complete else "interrupted"
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise
        finally:
            with self._interrupt.shielded():
                self._phase("stopping the cluster")
                try:
                    self._phases.begin(phases.STOPPING)
                    self._end_load()
                    if observers is not None:
                        observers.close()
                    self._report_load()
                finally:
                    try:
                        self._record(events.BlockEnded(complete=complete, reason=reason))
                    finally:  # also where the history can't be written any more
                        self._cluster.stop()
                self._phases.end()

    def _begin(self) -> tuple[list[Observer], Database]:
        """Step 1, and the observers of step 2."""
        with self._interrupt.raising():
            self._phase("starting the cluster")
            self._phases.begin(phases.STARTING)
            began = time.monotonic()
            self._spawn_load()  # it imports while the cluster starts, and waits for the go file
            self._cluster.start()
            self._components()
            self._await_dags()
            self._record(events.ClusterReady(seconds=round(time.monotonic() - began, 3)))
        return observers_of(self._cluster, self._plan)

    def _go_through(self, observers: Observers, asked: Database, arm: str) -> None:
        """Steps 2 to 5."""
        observers.start()
        self._start_load(observers)
        self._phase("load")
        self._phases.begin(phases.LOAD)
        self._watch_load(observers)
        self._stop_load()
        if self._faults and not self._interrupt.requested:
            self._phase("waiting for every component")
            self._phases.begin(phases.HEALING)
            self._await_healthy(observers)
        if not self._interrupt.requested:
            self._phase("settling")
            self._phases.begin(phases.SETTLING)
            self._settle(observers, asked, arm)
        self._phases.begin(phases.FINISHING)
        observers.finish()
        self._components()
        self._sample_memory()

    def _await_dags(self) -> None:
        missing = set(self._plan.dags)
        deadline = time.monotonic() + DAGS_TIMEOUT_S
        with psycopg.connect(self._cluster.dsn("airflow-stress"), autocommit=True, connect_timeout=10) as connection:
            while True:
                missing -= {row[0] for row in connection.execute(_KNOWN_DAGS)}
                if not missing:
                    return
                if time.monotonic() > deadline:
                    raise BlockFailed(
                        f"the dag-processor did not bring in {', '.join(sorted(missing))} "
                        f"within {DAGS_TIMEOUT_S:.0f} s: see {self._directory / 'dag-processor.log'}"
                    )
                self._components()
                self._interrupt.pause(0.1)

    def _spawn_load(self) -> None:
        plan_file = self._directory / "load.json"
        plan_file.write_bytes(msgspec.json.encode(self._plan.load))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "LOCUST"))}
        arguments: list[str] = [
            *(sys.executable, "-m", "locust", "--locustfile", str(layout.LOCUSTFILE)),
            *("--headless", "--host", self._cluster.api_url, "--only-summary", "--loglevel", "WARNING"),
            *("--users", str(len(self._plan.load.users)), "--spawn-rate", str(len(self._plan.load.users))),
            *("--stop-timeout", "3"),
            *("--csv", str(self._directory / "locust"), "--exit-code-on-error", "0"),
        ]
        command = Command(
            name="locust",
            arguments=arguments,
            environment={
                **kept,
                "PYTHONPATH": str(layout.PACKAGE.parent),
                "PYTHONWARNINGS": "ignore",
                "AIRFLOW_STRESS_SHARED": str(self._cluster.shared),
                "AIRFLOW_STRESS_LOAD": str(plan_file),
                "AIRFLOW_STRESS_LOAD_GO": str(self._go_file),
                "AIRFLOW_STRESS_SEED": str(self._plan.seed),
                "NO_PROXY": "127.0.0.1,localhost",
            },
            log_file=self._directory / "locust.log",
        )
        self._load = spawn(command, self._label)

    def _start_load(self, observers: Observers) -> None:
        """Let the load generator begin, and wait until the load does."""
        assert self._load is not None
        self._phase("warming up")
        self._phases.begin(phases.WARMING_UP)
        self._go_file.touch()
        deadline = time.monotonic() + LOAD_START_TIMEOUT_S
        # Its first action is to say that the load begins (the order of its record is the order of what it did), or,
        # with triggers in the load, the second.
        actions = Tail(self._cluster.shared / "load" / "actions.jsonl")
        while not any(b'"load_started"' in line for line in self._new_lines(actions)):
            self._components()
            if self._load.wait(LOAD_POLL_S) is not None:
                raise BlockFailed(
                    f"the load generator ended with exit code {self._load.exit_code()} at its start; "
                    f"the end of its log:\n{self._load.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise BlockFailed(
                    f"the load did not begin within {LOAD_START_TIMEOUT_S:.0f} s: with triggers in it, it waits until "
                    f"both triggerers answer some; see {self._directory / 'triggerer-1.log'} and the other beside it"
                )
            if self._interrupt.requested:
                raise Interrupted(self._interrupt.signal_number or signal.SIGINT)
        # What was seen up to here is of the start: workers that found no api-server yet, say. The history has it before
        # the load's beginning, so that it is not taken for the load's.
        observers.poll()
        self._load_started = time.monotonic()
        self._record(events.LoadStarted())
        self._cpu = CpuMeter(self._cluster.cpu_seconds)

    @property
    def _go_file(self) -> Path:
        """Made when the cluster is ready: the load generator waits for it."""
        return self._directory / "load.go"

    @staticmethod
    def _new_lines(tail: Tail) -> list[bytes]:
        return tail.lines() if tail.path.exists() else []

    def _watch_load(self, observers: Observers) -> None:
        faults = Injector(self._cluster, self._faults, self._plan.load.seconds, self._fault, self._interrupt.pause)
        faults.begin()
        try:
            self._watch(observers, faults)
        finally:
            with self._interrupt.shielded():
                faults.heal_all()

    def _fault(self, event: events.AnyEvent) -> None:
        self._record(event)
        if isinstance(event, events.FaultInjected):
            self._phase(f"load; {event.fault} {event.target}" + (f", {event.planned_s:g} s" if event.planned_s else ""))

    def _watch(self, observers: Observers, faults: Injector) -> None:
        assert self._load is not None
        assert self._load_started is not None
        while not self._interrupt.pause(POLL_S):
            self._components()
            faults.poll()
            observers.poll()
            if time.monotonic() - self._memory_at >= MEMORY_INTERVAL_S:
                self._sample_memory()
                if self._cpu is not None:
                    self._cpu.sample()
            if self._load.exit_code() is not None:
                raise BlockFailed(
                    f"the load generator ended before its time, with exit code {self._load.exit_code()}; "
                    f"the end of its log:\n{self._load.log_tail()}"
                )
            if time.monotonic() - self._load_started >= self._plan.load.seconds:
                return

    def _stop_load(self) -> None:
        """Ask the load generator to end; it finishes its requests and writes its statistics."""
        assert self._load is not None
        assert self._load_started is not None
        lasted = min(time.monotonic() - self._load_started, self._plan.load.seconds)
        self._record(events.LoadStopped(seconds=round(lasted, 3)))
        if self._cpu is not None:
            self._record(self._cpu.used())
        self._load.send_signal(signal.SIGTERM)

    def _await_healthy(self, observers: Observers) -> None:
        """Until every component has given a sign of life since now; one that doesn't is told, not an error."""
        since, began = time.time(), time.monotonic()
        while True:
            self._components()
            observers.poll()
            missing = self._cluster.unhealthy(since)
            elapsed = time.monotonic() - began
            if not missing or elapsed > HEALTHY_S or self._interrupt.requested:
                self._record(events.ComponentsHealthy(seconds=round(elapsed, 3), missing=sorted(missing)))
                return
            self._interrupt.pause(POLL_S)

    def _settle(self, observers: Observers, database: Database, arm: str) -> None:
        over = self._over(database, arm)
        while not self._interrupt.requested:
            self._components()
            observers.poll()
            if over():
                break
            self._interrupt.pause(POLL_S)
        if self._load is not None:
            self._load.wait(LOAD_STOP_TIMEOUT_S)

    def _over(self, database: Database, arm: str) -> Callable[[], bool]:
        """Whether the block has settled, asked at every look; at its last look it says how the block settled."""
        own = next(each.config for each in self._plan.arms if each.name == arm)
        config = {**cluster_settings(self._plan).config, **dict(own)}
        drains = bool(self._plan.faults)
        settling = Settling(config, time.monotonic, drains=drains)

        def over() -> bool:
            try:
                aftermath = database.aftermath(drains=drains)
                if aftermath is None:
                    return True
                ended = settling.over(aftermath.callbacks(), aftermath.tasks(), runners=aftermath.runners())
            except SourceLost:
                return True  # the observer finds out for itself at its last look, and is blind then
            if ended:
                self._record(settling.said())
            return ended

        return over

    def _end_load(self) -> None:
        if self._load is not None:
            self._load.wait(1.0)
            stop_all([self._load], grace_s=2.0)

    def _report_load(self) -> None:
        path = self._directory / "locust_stats.csv"
        if not path.exists():
            return
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                self._record(_load_report(row))

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
        self._memory_at = time.monotonic()
        processes = procfs.table()
        own = {os.getpid()} | (self._load.tree(processes) if self._load is not None else set())
        self._record(
            events.MemorySampled(
                cluster_bytes=sum(self._cluster.memory_bytes().values()), harness_bytes=procfs.memory_bytes(own)
            )
        )


def _load_report(row: dict[str, Any]) -> events.LoadReported:
    return events.LoadReported(
        name=f"{row['Type']} {row['Name']}".strip(),
        requests=int(row["Request Count"]),
        failures=int(row["Failure Count"]),
        median_ms=float(row["Median Response Time"] or 0),
        p95_ms=float(row["95%"] or 0) if row["95%"] != "N/A" else 0.0,
    )
