"""The parts that a run is given. The real ones are the defaults; a test passes others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.registry import Collector

from stress.cluster.base import Cluster, Runtime
from stress.cluster.errors import ClusterError
from stress.cluster.local import LocalRuntime
from stress.cluster.supervision.processes import Label
from stress.history import Recorder
from stress.interrupt import Interrupt
from stress.load.generator import Load, LocustLoad
from stress.observers.panel import Panel, panel_of
from stress.plan import Plan
from stress.run.block import DagsKnown, known_dags
from stress.run.settings import cluster_settings


def runtime_of(plan: Plan) -> Runtime:
    """The runtime of the plan; nothing is started yet."""
    if plan.runtime == "compose":
        from stress.cluster.compose.runtime import ComposeRuntime

        return ComposeRuntime(plan.run_id)
    return LocalRuntime(plan.run_id, cold_start=plan.cold_start, settings=cluster_settings(plan))


def load_of(plan: Plan, cluster: Cluster, label: Label, directory: Path) -> Load:
    """The load generator of a block, not started yet."""
    return LocustLoad(cluster, label, directory, plan.load, plan.seed)


def observers_of(plan: Plan, cluster: Cluster, record: Recorder) -> Panel:
    """The observers of a block, not started yet."""
    return panel_of(cluster, record, hollow=plan.workers == "hollow", seeing=plan.observers)


@contextmanager
def served(metrics: Collector, plan: Plan) -> Iterator[None]:
    """The metrics on their port. Raises ClusterError if it cannot be opened."""
    registry = CollectorRegistry()
    registry.register(metrics)
    # In a container only Prometheus reaches it, over the project's network: no port is published.
    address = "0.0.0.0" if plan.runtime == "compose" else "127.0.0.1"  # noqa: S104
    try:
        server, thread = start_http_server(plan.metrics_port, addr=address, registry=registry)
    except OSError as error:
        raise ClusterError(f"the metrics' port {plan.metrics_port} can't be opened: {error}") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass(frozen=True)
class Parts:
    """How a run makes its parts."""

    runtime: Callable[[Plan], Runtime] = runtime_of
    load: Callable[[Plan, Cluster, Label, Path], Load] = load_of
    observers: Callable[[Plan, Cluster, Recorder], Panel] = observers_of
    dags: Callable[[Cluster], AbstractContextManager[DagsKnown]] = known_dags
    serve: Callable[[Collector, Plan], AbstractContextManager[None]] = served
    interrupt: Callable[[], Interrupt] = Interrupt
    clock: Callable[[], float] = time.monotonic
    """Seconds since some moment. What waits, waits by the interrupt's `pause`."""
