"""A run's metrics as Prometheus sees them: the real `RunMetrics`, told of a run that moves on with every scrape."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypedDict

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from stress import events
from stress.components import NAMES, TRIGGERERS
from stress.metrics import API_BUCKETS_S, ArmInfo, RunMetrics
from stress.races.registry import CAUSES, scenario_of
from stress.results import RaceState

ARMS = ("stock", "fixed")
OBSERVERS = ("postgres_log", "component_logs", "receipts", "execution_api", "database", "load", "fix_reports")
BLIND_FROM = 3
"""The scrape from which on an observer is blind."""


class _Plan(TypedDict):
    """What `RunMetrics` is made from."""

    arms: Sequence[str]
    scenario_of: Mapping[str, str]
    causes_of: Mapping[str, Sequence[str]]
    observers: Sequence[str]
    info: Mapping[str, str]
    arm_info: Sequence[ArmInfo]


_PLAN: _Plan = {
    "arms": ARMS,
    "scenario_of": {race: scenario_of(race) for race in CAUSES},
    "causes_of": CAUSES,
    "observers": OBSERVERS,
    "info": {"airflow": "3.2.1", "runtime": "local", "workers": "hollow"},
    "arm_info": [
        ArmInfo("stock", "control", "3.2.1", ()),
        ArmInfo("fixed", "under_test", "3.2.1", ("deadline_claim",)),
    ],
}


def run_metrics() -> RunMetrics:
    """A run's metrics before anything has happened."""
    return RunMetrics(**_PLAN)


class Growing(RunMetrics):
    """A run of two arms at once, told as the harness tells it. Each step is about a second of the real thing."""

    def __init__(self) -> None:
        super().__init__(**_PLAN)
        self.steps = 0
        self.samples = 0
        self.heard("stock", events.BlockStarted(arm="stock"))
        for component in NAMES:
            self.heard("stock", events.ComponentStarted(component=component, pid=1, restarts=0))

    def step(self) -> None:
        """Let the run go on."""
        self.steps += 1
        n = self.steps
        for name in OBSERVERS:
            blind = name == "load" and n >= BLIND_FROM
            self.observer(name, up=not blind, error=n == BLIND_FROM and blind)
        for arm in ARMS:
            shown = n if arm == "stock" else 0
            for race, causes in CAUSES.items():
                self.found(race, arm, 0, dict.fromkeys(causes[:2], shown), 40 * n)
                self.checked(race, arm, blind=n == BLIND_FROM)
            self.finished_tasks(arm, 11)
            for operation in ("run", "defer", "success"):
                buckets = [min(place, 4) for place in range(len(API_BUCKETS_S) + 1)]
                self.answered(arm, operation, 200, sum(buckets), 0.4 * sum(buckets), buckets)
                few = [0] * len(API_BUCKETS_S) + [1]
                for code in (503, 0):
                    self.answered(arm, operation, code, 1, 31.0, few)
            for name in TRIGGERERS:
                progress = events.TriggersProgressed(at=0.0, component=name, pid=len(arm), polls=80 * n, active=40)
                self.heard(arm, progress)
            self.heard(arm, events.TriggersOwned(owned=dict.fromkeys(TRIGGERERS, 40)))
        for arm in ARMS * 2:  # each arm's counter grows by what was done since the sample before
            self.samples += 1
            sample = events.DatabaseSampled(
                deadlocks=0, commits=300 * self.samples, rollbacks=9 * self.samples, sessions=31, lock_waits=2
            )
            self.heard(arm, sample)
        self.judged(dict.fromkeys(CAUSES, RaceState.REMOVED))
        if n % 4 == 0:
            self.restarted("stock", "triggerer-1")
        pause = events.FaultInjected(number=n, fault="pause", target="triggerer-1", planned_s=9.0)
        self.heard("stock", pause)


def sample_family(family: Metric) -> str:
    """A family's name as queries have it: a counter's with `_total`."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def exported_names() -> set[str]:
    """Every name that a query can select today."""
    names = set()
    for family in run_metrics().collect():
        names.add(sample_family(family))
        if family.type == "histogram":
            names |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
    return names


@contextmanager
def served(metrics: Growing) -> Iterator[int]:
    """Serve the page on a free port of the loopback; every scrape lets the run go on by a step."""
    registry = CollectorRegistry()
    registry.register(metrics)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            metrics.step()
            body = generate_latest(registry)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing: a test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()
