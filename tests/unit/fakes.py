"""A run's outside world without processes, databases and waiting: each part implements the real interface.

Time passes when somebody waits for it (`FakeInterrupt.pause`), so that a run of ten minutes takes a moment. What
happens in it is a `Script`.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.registry import Collector

from stress import events
from stress.arms.fixes import components_of
from stress.arms.spec import Arm
from stress.cluster.base import (
    Cluster,
    ClusterSettings,
    ComponentEvent,
    CpuReading,
    EventKind,
    PreparedRuntime,
    Progress,
    Runtime,
    silent,
)
from stress.cluster.supervision.processes import Label
from stress.components import Role, role_of
from stress.history import Recorder
from stress.interrupt import Interrupt
from stress.load.generator import Load
from stress.observers.base import Observer
from stress.observers.panel import Panel
from stress.observers.tail import SourceLost
from stress.plan import Plan
from stress.run.block import DagsKnown
from stress.run.parts import Parts
from stress.settling import Waiting
from tests.unit.clusters import PaperCluster
from tests.unit.histories import COMPONENTS, OBSERVERS


class FakeClock:
    """Seconds that pass by `advance`; what was planned for a moment happens when it comes."""

    def __init__(self) -> None:
        self.now = 0.0
        self._planned: list[tuple[float, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now

    def at(self, second: float, action: Callable[[], None]) -> None:
        """Do something at a second."""
        self._planned.append((second, action))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        due = [planned for planned in self._planned if planned[0] <= self.now]
        self._planned = [planned for planned in self._planned if planned[0] > self.now]
        for _, action in due:
            action()


class FakeInterrupt(Interrupt):
    """The real one, with its signal handlers; only its waiting takes no time."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def pause(self, seconds: float) -> bool:
        if not self.requested:
            self._clock.advance(seconds)
        return self.requested


@dataclass
class Script:
    """What happens in a run's blocks. A block counts from 0."""

    deadlocks: Mapping[str, int] = field(default_factory=dict)
    """Arm to deadlocks a block."""
    updates: int = 1000
    """State updates a block."""
    blind: set[int] = field(default_factory=set)
    """Blocks in which the server's log is lost."""
    without_fixes: set[int] = field(default_factory=set)
    """Blocks in which no component loads a fix."""
    start_s: float = 5.0
    """How long a cluster takes to start."""
    on_start: Mapping[int, Callable[[], None]] = field(default_factory=dict)
    """What happens while the cluster of a block starts."""
    on_prepare: Callable[[], None] = lambda: None
    load_ends_early: set[int] = field(default_factory=set)


class FakeCluster(PaperCluster):
    """A cluster that takes its time to start and writes down what is done to it."""

    def __init__(self, directory: Path, script: Script, clock: FakeClock, block: int) -> None:
        super().__init__(directory)
        self._script = script
        self._clock = clock
        self._block = block
        self._started = False
        self.stops = 0

    def start(self) -> None:
        self._clock.advance(self._script.start_s)
        self._script.on_start.get(self._block, lambda: None)()
        self._started = True

    def stop(self) -> None:
        self.stops += 1

    def poll(self) -> list[ComponentEvent]:
        if not self._started:
            return []
        self._started = False
        return [
            ComponentEvent(0.0, name, Role(role_of(name)), EventKind.STARTED, 100 + place)
            for place, name in enumerate(COMPONENTS)
        ]

    def unhealthy(self, since: float) -> frozenset[str]:
        assert since > 0
        return frozenset()

    def memory_bytes(self) -> Mapping[str, int]:
        return {"postgres": 1}

    def cpu_seconds(self) -> Mapping[str, CpuReading]:
        return {"postgres": CpuReading(1, self._clock.now)}


class FakeLoad(Load):
    """A load that begins when it is released, and ends when it is asked to."""

    def __init__(self, *, ends_early: bool = False) -> None:
        self.calls: list[str] = []
        self.code: int | None = None
        self._ends_early = ends_early

    def spawn(self) -> None:
        self.calls.append("spawn")

    def release(self) -> None:
        self.calls.append("release")

    def begun(self) -> bool:
        if self._ends_early:
            self.code = 1
        return True

    def exit_code(self) -> int | None:
        return self.code

    def log_tail(self) -> str:
        return "its last words"

    def ask_to_end(self) -> None:
        self.calls.append("ask_to_end")
        self.code = 0

    def wait(self, seconds: float) -> int | None:  # noqa: ARG002 - it has ended, or never will
        return self.code

    def end(self) -> None:
        self.calls.append("end")

    def reports(self) -> Iterator[events.LoadReported]:
        yield events.LoadReported(name="GET /dags", requests=7, failures=0, median_ms=5.0, p95_ms=9.0)

    def processes(self) -> set[int]:
        return set()


class FakeObserver(Observer):
    """Tells at its first look, and at its last, what it was made with."""

    def __init__(
        self, name: str, seen: Sequence[events.AnyEvent] = (), last: Sequence[events.AnyEvent] = (), lost: str = ""
    ) -> None:
        self.name = name
        self._seen = list(seen)
        self._last = last
        self._lost = lost

    def poll(self) -> Iterable[events.AnyEvent]:
        if self._lost:
            raise SourceLost(self._lost)
        seen, self._seen = self._seen, []
        return seen

    def finish(self) -> Iterable[events.AnyEvent]:
        return [*self._seen, *self._last]


class NothingWaits:
    """What a block leaves behind in which all is done."""

    def callbacks(self) -> Waiting:
        return Waiting()

    def tasks(self) -> Waiting:
        return Waiting()

    def runners(self) -> bool:
        return False


class FakeRuntime(Runtime, PreparedRuntime):
    """A runtime whose clusters are fakes."""

    name = "fake"

    def __init__(self, script: Script, clock: FakeClock, directory: Path) -> None:
        self._script = script
        self._clock = clock
        self._directory = directory
        self.clusters: list[FakeCluster] = []
        self.arms: list[str] = []
        self.closed = 0

    @property
    def label(self) -> Label:
        return Label("fake", self._directory)

    def prepare(self, arms: Sequence[Arm], progress: Progress = silent) -> PreparedRuntime:
        progress(f"preparing {len(arms)} arms")
        self._script.on_prepare()
        return self

    def facts(self) -> Mapping[str, str]:
        return {"postgres": "fake"}

    def open(self, arm: Arm, block: int, directory: Path, settings: ClusterSettings) -> Cluster:
        assert settings.dags_folder is not None
        cluster = FakeCluster(directory / "cluster", self._script, self._clock, block)
        self.clusters.append(cluster)
        self.arms.append(arm.name)
        return cluster

    def close(self) -> None:
        self.closed += 1


class World:
    """All parts of one run, and what became of them."""

    def __init__(self, plan: Plan, script: Script, directory: Path) -> None:
        self.plan = plan
        self.script = script
        self.clock = FakeClock()
        self.runtime = FakeRuntime(script, self.clock, directory)
        self.loads: list[FakeLoad] = []
        self.served = 0

    def parts(self) -> Parts:
        """What the run is given."""
        return Parts(
            runtime=lambda _: self.runtime,
            load=self._load,
            observers=self._observers,
            dags=self._dags,
            serve=self._serve,
            interrupt=lambda: FakeInterrupt(self.clock),
            clock=self.clock,
        )

    def _load(self, plan: Plan, cluster: Cluster, label: Label, directory: Path) -> Load:  # noqa: ARG002
        load = FakeLoad(ends_early=len(self.loads) in self.script.load_ends_early)
        self.loads.append(load)
        return load

    @contextmanager
    def _dags(self, cluster: Cluster) -> Iterator[DagsKnown]:  # noqa: ARG002
        yield lambda: self.plan.dags

    @contextmanager
    def _serve(self, metrics: Collector, plan: Plan) -> Iterator[None]:  # noqa: ARG002
        self.served += 1
        yield

    def _observers(self, plan: Plan, cluster: Cluster, record: Recorder) -> Panel:  # noqa: ARG002
        block = len(self.runtime.clusters) - 1
        arm = next(arm for arm in plan.arms if arm.name == self.runtime.arms[block])
        count = self.script.deadlocks.get(arm.name, 0)
        answered = events.ApiAnswered(
            operation="success",
            code=204,
            count=self.script.updates,
            seconds=1.0,
            buckets=[0] * (len(events.API_BOUNDS_S) + 1),
            bounds=list(events.API_BOUNDS_S),
        )
        finished: list[events.AnyEvent] = [
            events.DatabaseSampled(deadlocks=count, commits=9, rollbacks=0, sessions=1),
            events.DeadlinesMissed(deadlines=[]),
            events.TasksCounted(by_state={"success": self.script.updates}),
            events.DeadlinesPassed(deadlines=[]),
            events.FiniteTasksCounted(total=0, unfinished=[], runs=[]),
        ]
        observers = {name: FakeObserver(name) for name in OBSERVERS}
        observers["execution_api"] = FakeObserver("execution_api", last=[answered])
        observers["database"] = FakeObserver("database", last=finished)
        lost = "the server's log is gone" if block in self.script.blind else ""
        observers["postgres_log"] = FakeObserver("postgres_log", seen=[a_deadlock() for _ in range(count)], lost=lost)
        loaded = () if block in self.script.without_fixes else arm.fixes
        observers["fix_reports"] = FakeObserver("fix_reports", seen=list(_loaded(loaded)))
        return Panel(list(observers.values()), record, lambda _: NothingWaits())


def a_deadlock() -> events.DeadlockSeen:
    """The one that the reports are about."""
    marks = {
        "api-server": "SELECT task_instance, dag_run FOR UPDATE",
        "scheduler-1": "UPDATE task_instance SET dag_version_id",
    }
    sides = [
        events.DeadlockSide(pid=pid, component=component, statement=mark, waits_for="ShareLock", signature=mark)
        for pid, (component, mark) in enumerate(marks.items())
    ]
    return events.DeadlockSeen(at=1.0, victim="api-server", context="", sides=sides)


def _loaded(fixes: Iterable[str]) -> Iterator[events.FixReported]:
    for fix in fixes:
        for place, component in enumerate(COMPONENTS):
            if role_of(component) in components_of(fix):
                yield events.FixReported(component=component, pid=100 + place, fix=fix, status="loaded", detail="")


def interrupting(times: int = 1, number: signal.Signals = signal.SIGINT) -> Callable[[], None]:
    """Send the process a signal, so many times."""

    def interrupt() -> None:
        for _ in range(times):
            signal.raise_signal(number)

    return interrupt
