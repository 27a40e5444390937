"""The measures of harm and cost, read from a block's history. Each has its reason.

`harm.py` judges them, and `ratios.py` compares those that are costs. Where a source left nothing there is no reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from itertools import pairwise
from operator import attrgetter
from types import MappingProxyType

import msgspec
import numpy as np

from stress import events
from stress.checkers.view import BlockView
from stress.components import role_of
from stress.judge.harm import BlockCosts, Measure
from stress.races import registry

Reading = tuple[float, float]
Reader = Callable[[BlockView], Reading | None]

STATE_UPDATES = ("success", "defer", "failed")
"""Operations of the Execution API that store a task's state, as the hollow workers name them."""

LEAST_ANSWERS = 50
LEAST_SLOWER = 5
"""Answers that a quantile needs in each block, and how many of them must be slower than it. With fewer, one or two
answers are the quantile: in blocks of 16 answers the 95th percentile of equal arms differs by more than the margin."""

LEAST_FINISHED = 50
"""Finished task instances below which their rate is not a measure. A load without tasks has only those of the scheduled
DAGs, and twice as many in a block that spans a full minute."""

LEAST_VALUES = 20
"""Delays or requests that a quantile of a cost needs in each block, and passes of the loop that their mean needs half
of. A cost has an interval that shows its noise: one value beyond the quantile is enough."""

_LOOK_S = 0.5
"""Seconds between two looks of the observers: a record is in the history at most so much later."""

_SERVER_ERROR = 500
_THOUSAND = 1000.0


def _answers(view: BlockView) -> list[events.ApiAnswered]:
    """Answers under load. Before it, workers may have started before the api-server."""
    began = view.load_started_at
    return [event for t, event in view.all(events.ApiAnswered) if began is not None and t >= began]


def _finished(view: BlockView) -> int:
    counted = view.last(events.TasksCounted)
    return counted.by_state.get("success", 0) if counted is not None else 0


def failed_tasks(view: BlockView) -> Reading | None:
    """Failed task instances, a block.

    The load is the same in every block, and makes some fail on purpose (it ends runs by marking them). It is not a
    share of all task instances, because their number depends on whether a block spans a full minute, when the scheduled
    DAGs run.
    """
    counted = view.last(events.TasksCounted)
    return (float(counted.by_state.get("failed", 0)), 1.0) if counted is not None else None


def callbacks_run(view: BlockView) -> Reading | None:
    """Missed deadlines whose callback ran, of those that were missed."""
    missed = view.last(events.DeadlinesMissed)
    if missed is None or not missed.deadlines:
        return None
    ran = {event.deadline for _, event in view.all(events.CallbackExecuted)}
    return float(len(ran & set(missed.deadlines))), float(len(missed.deadlines))


def errors_beyond_deadlocks(view: BlockView) -> Reading | None:
    """Answers 5xx and requests without an answer, beyond one for each deadlock whose victim was an api-server.

    A deadlock on the control fails its request, too. Without those errors an arm that answers an error *instead* of
    deadlocking is comparable: its errors have no deadlock.
    """
    answers = _answers(view)
    total = sum(event.count for event in answers)
    if not total:
        return None
    errors = sum(event.count for event in answers if event.code == 0 or event.code >= _SERVER_ERROR)
    victims = sum(1 for _, event in view.all(events.DeadlockSeen) if event.victim.startswith("api-server"))
    return _THOUSAND * max(0, errors - victims), float(total)


def rest_failures(view: BlockView) -> Reading | None:
    """Failed requests of the load to the public REST API."""
    reports = [event for _, event in view.all(events.LoadReported) if not event.name.startswith("Aggregated")]
    requests = sum(event.requests for event in reports)
    return (_THOUSAND * sum(event.failures for event in reports), float(requests)) if requests else None


def lock_timeouts(view: BlockView) -> Reading | None:
    """Statements that PostgreSQL ended for a lock, a time-out or a serialisation failure, per 1,000 finished tasks."""
    finished = _finished(view)
    if not finished or "postgres_log" not in {event.observer for _, event in view.all(events.ObserverUp)}:
        return None
    return _THOUSAND * sum(event.count for _, event in view.all(events.LockTimeoutSeen)), float(finished)


def component_exits(view: BlockView) -> Reading:
    """Components that ended by themselves, a block. Exits under a fault that hits the component do not count."""
    exits = 0
    for t, event in view.all(events.ComponentExited):
        spans = view.excused(event.component, 30.0)
        exits += not any(start <= t <= end for start, end in spans)
    return float(exits), 1.0


def stale_versions(view: BlockView) -> Reading | None:
    """Unfinished task instances that the refresh of their run's DAG version left out, per 1,000 finished ones.

    Stock leaves some out, too: up to 3.3.2 its UPDATE does not match task instances without a state, so how many there
    are depends on how far runs have come. Hence no margin, and a large least difference.
    """
    counted, finished = view.last(events.StaleVersionsCounted), _finished(view)
    if counted is None or counted.behind_their_run is None or not finished:
        return None
    return _THOUSAND * counted.behind_their_run, float(finished)


def passed_over(view: BlockView) -> Reading | None:
    """Task instances that the refresh of their run's DAG version skipped although they had a state; none on stock."""
    counted, finished = view.last(events.StaleVersionsCounted), _finished(view)
    if counted is None or counted.passed_over is None or not finished:
        return None
    return _THOUSAND * counted.passed_over, float(finished)


def wrong_replies(view: BlockView) -> Reading:
    """Triggers that got the answer to another request, a block."""
    return float(sum(1 for _ in view.all(events.ReplyMisrouted))), 1.0


def double_starts(view: BlockView) -> Reading:
    """Tries that two workers were both allowed to start, a block."""
    return float(sum(1 for _ in view.all(events.DoubleStart))), 1.0


def throughput(view: BlockView) -> Reading | None:
    """Finished task instances a second of load."""
    finished = _finished(view)
    return (float(finished), view.load_s) if view.load_s and finished >= LEAST_FINISHED else None


def cpu(view: BlockView) -> Reading | None:
    """CPU seconds of the whole cluster, per 1,000 finished task instances."""
    used, finished = view.last(events.CpuUsed), _finished(view)
    if used is None or finished < LEAST_FINISHED:
        return None
    return _THOUSAND * sum(used.seconds.values()), float(finished)


def transactions(view: BlockView) -> Reading | None:
    """Transactions of the database under load, committed or rolled back, per finished task instance.

    Those of the harness's own reads are part of it, a few a second. The counters start again with the server.
    """
    samples = [(t, event) for t, event in view.all(events.DatabaseSampled) if _under_load(view, t)]
    finished = _finished(view)
    if len(samples) < 2 or finished < LEAST_FINISHED:
        return None
    (first_t, first), (last_t, last) = samples[0], samples[-1]
    ended = last.commits + last.rollbacks - first.commits - first.rollbacks
    if ended <= 0 or any(b.commits < a.commits for (_, a), (_, b) in pairwise(samples)):
        return None
    return ended / (last_t - first_t) * view.load_s, float(finished)


def scheduler_loop(view: BlockView) -> Reading | None:
    """Duration of a pass of the schedulers' loops under load: the mean, in milliseconds.

    A mean, because a block of 12 s has some 20 passes, of which those without work are short: the median falls on
    either side.
    """
    passes = [s for t, event in view.all(events.SchedulerLooped) if _under_load(view, t) for s in event.seconds]
    return (_THOUSAND * sum(passes), float(len(passes))) if 2 * len(passes) >= LEAST_VALUES else None


def _under_load(view: BlockView, t: float) -> bool:
    began = view.load_started_at
    return began is not None and began <= t <= began + view.load_s + _LOOK_S


def _delay(waits: Callable[[events.TaskDelays], list[float]], quantile: float) -> Reader:
    """A quantile of the time that task instances waited, in milliseconds."""

    def read(view: BlockView) -> Reading | None:
        delays = view.last(events.TaskDelays)
        if delays is None or not _enough(len(waits(delays)), quantile):
            return None
        return _THOUSAND * float(np.quantile(waits(delays), quantile)), 1.0

    return read


def _enough(number: int, quantile: float) -> bool:
    return number >= max(LEAST_VALUES, round(1 / (1 - quantile)))


def _scheduled(delays: events.TaskDelays) -> list[float]:
    return delays.scheduled_s


def _queued(delays: events.TaskDelays) -> list[float]:
    return delays.queued_s


def _rest(value: Callable[[events.LoadReported], float], quantile: float) -> Reader:
    """A quantile of the load's requests to the public REST API, in milliseconds, by the load generator's own count."""

    def read(view: BlockView) -> Reading | None:
        whole = next((event for _, event in view.all(events.LoadReported) if event.name == "Aggregated"), None)
        return (value(whole), 1.0) if whole is not None and _enough(whole.requests, quantile) else None

    return read


def _cpu_of(role: str) -> Reader:
    """CPU seconds of one role's components, per 1,000 finished task instances."""

    def read(view: BlockView) -> Reading | None:
        used, finished = view.last(events.CpuUsed), _finished(view)
        if used is None or finished < LEAST_FINISHED:
            return None
        own = [seconds for component, seconds in used.seconds.items() if role_of(component) == role]
        return (_THOUSAND * sum(own), float(finished)) if own else None

    return read


_RACES: Mapping[str, str] = MappingProxyType({"lost_callbacks": "lost_callback", "stuck_tasks": "stuck_task"})
"""The measures that count incidents of a race that is not asked for, and the race."""


def _of_race(measure: str) -> Reader:
    """Incidents of the measure's race, of its opportunities."""

    def read(view: BlockView) -> Reading | None:
        found = registry.check(_RACES[measure], view)
        if found.blind or not found.opportunities:
            return None
        return _THOUSAND * len(found.incidents), float(found.opportunities)

    return read


def _latency(quantile: float, slower: int = LEAST_SLOWER) -> Reader:
    """A quantile of the durations of state updates, in milliseconds, interpolated within its histogram bucket."""

    def read(view: BlockView) -> Reading | None:
        answers = [event for event in _answers(view) if event.operation in STATE_UPDATES and event.code != 0]
        number = sum(event.count for event in answers)
        if number < max(LEAST_ANSWERS, round(slower / (1.0 - quantile))):
            return None
        value = quantile_s(answers, quantile)
        return None if value is None else (_THOUSAND * value, 1.0)

    return read


def quantile_s(answers: Iterable[events.ApiAnswered], quantile: float) -> float | None:
    """A quantile of summed histograms, in seconds; None without an answer. Above the last bound it is that bound."""
    sums: dict[float, int] = {}
    total = 0
    for event in answers:
        for bound, count in zip([*event.bounds, float("inf")], event.buckets, strict=False):
            sums[bound] = sums.get(bound, 0) + count
            total += count
    if not total:
        return None
    bounds = sorted(sums)
    rank, below = quantile * total, 0
    for lower, upper in pairwise([0.0, *bounds]):
        if below + sums[upper] >= rank and sums[upper]:
            return lower if upper == float("inf") else lower + (upper - lower) * (rank - below) / sums[upper]
        below += sums[upper]
    return bounds[-1]


def _cost(name: str, unit: str) -> Measure:
    """A cost that is shown, and is no measure of harm: less of it is better."""
    return Measure(name, unit, relative=True, harm=False)


_READERS: Mapping[Measure, Reader] = MappingProxyType(
    {
        Measure("callbacks_run_share", "of missed deadlines", worse_if_higher=False, margin=0.02): callbacks_run,
        Measure("lost_callbacks", "per 1,000 passed deadlines", margin=5.0): _of_race("lost_callbacks"),
        Measure("stuck_tasks", "per 1,000 task instances", margin=5.0): _of_race("stuck_tasks"),
        Measure("wrong_replies", "a block", margin=0.0): wrong_replies,
        Measure("double_starts", "a block", margin=0.0): double_starts,
        Measure("errors_beyond_deadlocks", "per 1,000 answers", margin=2.0): errors_beyond_deadlocks,
        Measure("rest_failures", "per 1,000 requests", margin=20.0): rest_failures,
        Measure("lock_timeouts", "per 1,000 task instances", margin=2.0): lock_timeouts,
        Measure("component_exits", "a block", margin=1.0): component_exits,
        Measure("failed_tasks", "a block", margin=5.0): failed_tasks,
        Measure("passed_over_by_refresh", "per 1,000 task instances", margin=0.0): passed_over,
        Measure("stale_versions", "per 1,000 task instances", interest=300.0): stale_versions,
        Measure(
            "throughput", "task instances/s", worse_if_higher=False, margin=0.2, interest=0.05, relative=True
        ): throughput,
        _cost("scheduled_delay_p50", "ms"): _delay(_scheduled, 0.5),
        _cost("scheduled_delay_p95", "ms"): _delay(_scheduled, 0.95),
        _cost("queued_delay_p50", "ms"): _delay(_queued, 0.5),
        _cost("queued_delay_p95", "ms"): _delay(_queued, 0.95),
        _cost("scheduler_loop", "ms"): scheduler_loop,
        # The cost of an answer that does not wait. On a busy cluster the median is mostly waiting time, which hides it.
        Measure("state_update_p01", "ms", margin=1.0, interest=0.25, relative=True): _latency(0.01),
        Measure("state_update_p50", "ms", margin=0.5, interest=0.05, relative=True): _latency(0.5),
        Measure("state_update_p95", "ms", margin=0.5, interest=0.05, relative=True): _latency(0.95),
        _cost("state_update_p99", "ms"): _latency(0.99, slower=1),
        _cost("rest_p50", "ms"): _rest(attrgetter("median_ms"), 0.5),
        _cost("rest_p95", "ms"): _rest(attrgetter("p95_ms"), 0.95),
        Measure("cpu", "s per 1,000 task instances", margin=0.25, interest=0.05, relative=True): cpu,
        _cost("scheduler_cpu", "s per 1,000 task instances"): _cpu_of("scheduler"),
        _cost("api_server_cpu", "s per 1,000 task instances"): _cpu_of("api-server"),
        _cost("transactions", "per task instance"): transactions,
    }
)

MEASURES: tuple[Measure, ...] = tuple(_READERS)
"""Every measure, in the order in which reports show them."""


def costs_of(view: BlockView) -> BlockCosts:
    """What one block cost. A measure that has no reader here is taken as the run itself counted it."""
    readings: dict[str, Reading | None] = {
        event.measure: (event.numerator, event.denominator) for _, event in view.all(events.MeasureCounted)
    }
    readings |= {measure.name: reader(view) for measure, reader in _READERS.items() if _is_readable(measure.name)}
    return BlockCosts(view.block, view.arm, {name: pair for name, pair in readings.items() if pair is not None})


def _is_readable(measure: str) -> bool:
    """Whether this code has the race that the measure counts, if it counts one."""
    race = _RACES.get(measure)
    return race is None or race in registry.CHECKERS


def planned_events() -> list[events.MeasurePlanned]:
    """The measures as a history holds them."""
    return [events.MeasurePlanned(**asdict(measure)) for measure in MEASURES]


def counted_events(costs: BlockCosts) -> list[events.MeasureCounted]:
    """A block's readings as a history holds them."""
    return [
        events.MeasureCounted(measure=name, numerator=numerator, denominator=denominator)
        for name, (numerator, denominator) in costs.readings.items()
    ]


def measure_of(planned: events.MeasurePlanned) -> Measure:
    """A measure as a history holds it."""
    return Measure(**msgspec.structs.asdict(planned))
