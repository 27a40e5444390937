"""Every Prometheus metric of the harness, in one place; METRICS.md says what each means and what it does not.

The numbers are the history's, never a second count: the run passes appended events and the checkers' results to this
collector, and a scrape reads it. All series of the planned arms are present at 0 from the start, so that `rate()` sees
the first incident. Labels are bounded: arms, scenarios, causes, observers, components, operations; never a run's or a
task's id.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from stress import components, events
from stress.faults import FAULTS
from stress.races.race import METRIC_PREFIX
from stress.races.registry import HEADLINES
from stress.results import RaceState

API_BUCKETS_S: tuple[float, ...] = events.API_BOUNDS_S
"""Upper bounds of the durations of Execution API requests, seconds."""

Labels = tuple[str, ...]


@dataclass(frozen=True)
class ArmInfo:
    """What an arm is; `role` is `control`, `under_test` or `other`."""

    name: str
    role: str
    airflow: str
    fixes: tuple[str, ...]


class RunMetrics(Collector):
    """The state behind `/metrics`. Safe to use from several threads."""

    def __init__(
        self,
        arms: Sequence[str],
        scenario_of: Mapping[str, str],
        causes_of: Mapping[str, Sequence[str]],
        observers: Sequence[str],
        info: Mapping[str, str],
        arm_info: Sequence[ArmInfo] = (),
    ) -> None:
        self._arm_info = tuple(arm_info)
        self._lock = threading.Lock()
        self.scrapes = 0
        """How often the metrics were read."""
        self._info = dict(info)
        self._scenario_of = dict(scenario_of)
        self._incidents: dict[str, dict[Labels, int]] = {race: {} for race in HEADLINES}
        self._opportunities: dict[Labels, int] = {}
        self._checks: dict[Labels, int] = {}
        self._observer_up = dict.fromkeys(observers, 0)
        self._observer_errors = dict.fromkeys(observers, 0)
        self._restarts: dict[Labels, int] = {}
        self._faults_injected: dict[Labels, int] = {(arm, fault): 0 for arm in arms for fault in FAULTS}
        self._fault_active: dict[Labels, int] = {(arm, fault): 0 for arm in arms for fault in FAULTS}
        self._requests: dict[Labels, int] = {}
        self._durations: dict[Labels, tuple[list[int], float]] = {}
        self._tasks: dict[Labels, int] = {}
        self._published: dict[tuple[str, str, int], dict[str, int]] = defaultdict(dict)
        self._published_opportunities: dict[tuple[str, str, int], int] = {}
        self._block_running: dict[Labels, int] = {(arm,): 0 for arm in arms}
        self._verdicts: dict[Labels, int] = {(race, str(state)): 0 for race in scenario_of for state in RaceState}
        self._component_up: dict[Labels, int] = {(component,): 0 for component in components.NAMES}
        self._triggers_running: dict[Labels, int] = {(arm, name): 0 for arm in arms for name in components.TRIGGERERS}
        self._triggers_owned: dict[Labels, int] = {(arm, name): 0 for arm in arms for name in components.TRIGGERERS}
        self._polls: dict[Labels, int] = {(arm, name): 0 for arm in arms for name in components.TRIGGERERS}
        self._polls_of: dict[tuple[str, int], int] = {}
        self._transactions: dict[Labels, int] = {
            (arm, outcome): 0 for arm in arms for outcome in ("commit", "rollback")
        }
        self._last_sample: events.DatabaseSampled | None = None
        self._sessions: dict[Labels, int] = {(arm,): 0 for arm in arms}
        self._lock_waits: dict[Labels, int] = {(arm,): 0 for arm in arms}
        for arm in arms:
            self._tasks[arm,] = 0
            for race, scenario in scenario_of.items():
                self._opportunities[race, arm, scenario] = 0
                for result in ("seen", "blind"):
                    self._checks[race, arm, result] = 0
                for cause in causes_of.get(race, ()):
                    self._incidents[race][arm, scenario, cause] = 0
            for component in components.NAMES:
                self._restarts[arm, component] = 0
            for operation in ("run", "defer", "success"):
                for code in ("2xx", "4xx", "5xx", "none"):
                    self._requests[arm, operation, code] = 0
                self._durations[arm, operation] = ([0] * (len(API_BUCKETS_S) + 1), 0.0)

    # -- input from the run ------------------------------------------------------------------------------------

    def heard(self, arm: str, event: events.AnyEvent) -> None:
        """An event of the present block, right after it was written."""
        match event:
            case events.BlockStarted() | events.BlockEnded():
                self._block(arm, running=isinstance(event, events.BlockStarted))
            case events.ObserverUp(observer=name):
                self.observer(name, up=True)
            case events.ObserverBlind(observer=name):
                self.observer(name, up=False, error=True)
            case events.ComponentStarted(component=component, restarts=restarts):
                self._component(component, up=True)
                if restarts:
                    self.restarted(arm, component)
            case events.ComponentExited(component=component):
                self._component(component, up=False)
            case events.FaultInjected() | events.FaultHealed() as fault:
                self._fault(arm, fault)
            case events.ApiAnswered() as a:
                self.answered(arm, a.operation, a.code, a.count, a.seconds, a.buckets)
            case events.TriggersProgressed() as progress:
                self._progressed(arm, progress)
            case events.TriggersOwned(owned=owned):
                with self._lock:
                    self._triggers_owned |= {(arm, name): owned.get(name, 0) for name in components.TRIGGERERS}
            case events.DatabaseSampled() as sample:
                self._sampled(arm, sample)
            case events.TasksCounted(by_state=by_state):
                self.finished_tasks(arm, by_state.get("success", 0))

    def judged(self, verdicts: Mapping[str, RaceState]) -> None:
        """The verdicts if the run ended now; at its end, the verdicts."""
        with self._lock:
            self._verdicts |= {
                (race, str(state)): int(state == verdict) for race, verdict in verdicts.items() for state in RaceState
            }

    def _block(self, arm: str, *, running: bool) -> None:
        """Between blocks nothing runs and no observer is active."""
        with self._lock:
            self._block_running[arm,] = int(running)
            self._last_sample = None
            self._polls_of.clear()
            if not running:
                self._component_up = dict.fromkeys(self._component_up, 0)
                self._observer_up = dict.fromkeys(self._observer_up, 0)
                for values in (
                    *(self._triggers_running, self._triggers_owned, self._sessions, self._lock_waits),
                    self._fault_active,
                ):
                    values.update(dict.fromkeys(values, 0))

    def _component(self, component: str, *, up: bool) -> None:
        with self._lock:
            self._component_up[component,] = int(up)

    def _fault(self, arm: str, event: events.FaultInjected | events.FaultHealed) -> None:
        begins = isinstance(event, events.FaultInjected)
        with self._lock:
            self._faults_injected[arm, event.fault] += int(begins)
            self._fault_active[arm, event.fault] = int(begins)

    def _progressed(self, arm: str, progress: events.TriggersProgressed) -> None:
        """A runner counts its polls from its own start."""
        with self._lock:
            key = (arm, progress.component)
            self._triggers_running[key] = progress.active
            before = self._polls_of.get((progress.component, progress.pid), 0)
            self._polls_of[progress.component, progress.pid] = progress.polls
            self._polls[key] = self._polls.get(key, 0) + max(0, progress.polls - before)

    def _sampled(self, arm: str, sample: events.DatabaseSampled) -> None:
        """A block's first sample is where its counting begins: what came before was the migration's."""
        with self._lock:
            if (last := self._last_sample) is not None:
                self._transactions[arm, "commit"] += max(0, sample.commits - last.commits)
                self._transactions[arm, "rollback"] += max(0, sample.rollbacks - last.rollbacks)
            self._last_sample = sample
            self._sessions[arm,] = sample.sessions
            self._lock_waits[arm,] = sample.lock_waits

    def found(self, race: str, arm: str, block: int, causes: Mapping[str, int], opportunities: int) -> None:
        """The checker's present count on a block. Counters only grow: an incident keeps its first cause."""
        with self._lock:
            scenario = self._scenario_of[race]
            published = self._published[race, arm, block]
            due = sum(causes.values()) - sum(published.values())
            for cause, count in causes.items():
                step = min(due, count - published.get(cause, 0))
                if step > 0:
                    published[cause] = published.get(cause, 0) + step
                    key = (arm, scenario, cause)
                    self._incidents[race][key] = self._incidents[race].get(key, 0) + step
                    due -= step
            grown = opportunities - self._published_opportunities.get((race, arm, block), 0)
            if grown > 0:
                self._published_opportunities[race, arm, block] = opportunities
                self._opportunities[race, arm, scenario] += grown

    def checked(self, race: str, arm: str, *, blind: bool) -> None:
        """A block was judged for a race."""
        with self._lock:
            self._checks[race, arm, "blind" if blind else "seen"] += 1

    def observer(self, name: str, *, up: bool, error: bool = False) -> None:
        """An observer sees its source or not; `error` counts one failure."""
        with self._lock:
            self._observer_up[name] = int(up)
            self._observer_errors[name] = self._observer_errors.get(name, 0) + int(error)

    def restarted(self, arm: str, component: str) -> None:
        """A component was started again after it had ended."""
        with self._lock:
            self._restarts[arm, component] = self._restarts.get((arm, component), 0) + 1

    def answered(self, arm: str, operation: str, code: int, count: int, seconds: float, buckets: Sequence[int]) -> None:
        """Execution API answers, with the class of their code (`none` where there was no answer)."""
        with self._lock:
            family = f"{code // 100}xx" if code else "none"
            key = (arm, operation, family)
            self._requests[key] = self._requests.get(key, 0) + count
            counts, total = self._durations.get((arm, operation), ([0] * (len(API_BUCKETS_S) + 1), 0.0))
            self._durations[arm, operation] = ([a + b for a, b in zip(counts, buckets, strict=True)], total + seconds)

    def finished_tasks(self, arm: str, count: int) -> None:
        """Task instances that a block finished."""
        with self._lock:
            self._tasks[arm,] = self._tasks.get((arm,), 0) + count

    # -- what a scrape reads -------------------------------------------------------------------------------------

    def collect(self) -> Iterable[Metric]:
        """All families, in a fixed order."""
        with self._lock:
            self.scrapes += 1
            info = GaugeMetricFamily(f"{METRIC_PREFIX}run_info", "What this run is", labels=list(self._info))
            info.add_metric(list(self._info.values()), 1)
            return [*self._checked(), *self._observed(), *self._cluster_now(), info]

    def _checked(self) -> list[Metric]:
        """What the checkers found."""
        return [
            *(
                _counter(headline.name, headline.help, ("arm", "scenario", "cause"), self._incidents[race])
                for race, headline in HEADLINES.items()
            ),
            _counter(
                "opportunities",
                "How often a race could have happened: state updates, missed deadlines, cancellations, tasks",
                ("race", "arm", "scenario"),
                self._opportunities,
            ),
            _counter(
                "checks",
                "Blocks judged for a race, by whether everything was seen",
                ("race", "arm", "result"),
                self._checks,
            ),
        ]

    def _observed(self) -> list[Metric]:
        """What the observers saw, and whether they could."""
        return [
            _gauge(
                "observer_up",
                "Whether an observer sees its source now",
                ("observer",),
                {(name,): value for name, value in self._observer_up.items()},
            ),
            _counter(
                "observer_errors",
                "How often an observer could not see its source",
                ("observer",),
                {(name,): value for name, value in self._observer_errors.items()},
            ),
            _counter("faults_injected", "Faults injected", ("arm", "fault"), self._faults_injected),
            _gauge("fault_active", "Whether a fault is active now", ("arm", "fault"), self._fault_active),
            _counter(
                "component_restarts",
                "Starts of a component after it had ended",
                ("arm", "component"),
                self._restarts,
            ),
            _counter(
                "execution_api_requests",
                "Execution API requests of the hollow workers, by class of the answer's code",
                ("arm", "operation", "code"),
                self._requests,
            ),
            self._request_durations(),
            _counter("finished_task_instances", "Task instances that reached success", ("arm",), self._tasks),
        ]

    def _request_durations(self) -> Metric:
        durations = HistogramMetricFamily(
            f"{METRIC_PREFIX}execution_api_request_duration_seconds",
            "Duration of Execution API requests of the hollow workers",
            labels=("arm", "operation"),
        )
        for labels, (counts, total) in sorted(self._durations.items()):
            cumulated, buckets = 0, []
            for bound, count in zip([*map(str, API_BUCKETS_S), "+Inf"], counts, strict=True):
                cumulated += count
                buckets.append((bound, cumulated))
            durations.add_metric(list(labels), buckets, total)
        return durations

    def _cluster_now(self) -> list[Metric]:
        """The cluster of the present block, and what is known of the arms and races."""
        arms = GaugeMetricFamily(
            f"{METRIC_PREFIX}arm_info",
            "What an arm is, and its part in the comparison",
            labels=("arm", "role", "airflow", "fixes"),
        )
        for arm in self._arm_info:
            arms.add_metric([arm.name, arm.role, arm.airflow, "+".join(arm.fixes)], 1)
        return [
            arms,
            _gauge("block_running", "Whether it is this arm's turn now", ("arm",), self._block_running),
            _gauge(
                "race_verdict", "1 for the verdict on a race if the run ended now", ("race", "verdict"), self._verdicts
            ),
            _gauge("component_up", "Whether a component's process runs now", ("component",), self._component_up),
            _gauge(
                "triggers_running",
                "Polling triggers that a runner runs now, by their receipts",
                ("arm", "component"),
                self._triggers_running,
            ),
            _gauge(
                "triggers_owned",
                "Polling triggers that the database assigns to a triggerer now",
                ("arm", "component"),
                self._triggers_owned,
            ),
            _counter("trigger_polls", "Polls that triggers finished", ("arm", "component"), self._polls),
            _counter(
                "database_transactions",
                "Transactions of the cluster's database, by outcome",
                ("arm", "outcome"),
                self._transactions,
            ),
            _gauge("database_sessions", "Sessions of the cluster's database now", ("arm",), self._sessions),
            _gauge("database_lock_waits", "Locks that sessions wait for now", ("arm",), self._lock_waits),
        ]


def _counter(name: str, text: str, labels: Sequence[str], values: Mapping[Labels, int]) -> Metric:
    family = CounterMetricFamily(f"{METRIC_PREFIX}{name}", text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(list(key), value)
    return family


def _gauge(name: str, text: str, labels: Sequence[str], values: Mapping[Labels, int]) -> Metric:
    family = GaugeMetricFamily(f"{METRIC_PREFIX}{name}", text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(list(key), value)
    return family
