"""Every fault of the local runtime on a real cluster, and a harness that is killed while a component stands still.

One cluster for all, under no load: what is asked is whether the faults do what they say and leave nothing behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from stress import events
from stress.cluster.base import ComponentEvent, EventKind
from stress.cluster.errors import ComponentFailed, FaultImpossible
from stress.cluster.local import LocalCluster
from stress.cluster.supervision import procfs, registry
from stress.faults import FAULTS
from stress.faults.base import PlannedFault
from stress.faults.injector import Injector
from tests.timing import eventually

LOCAL = [name for name, fault in FAULTS.items() if "local" in fault.runtimes]
HEALTHY_WITHIN_S = 60.0

# Starts a component, stops it with SIGSTOP, and lives until it is killed.
HARNESS = """
import json, sys, time
from pathlib import Path
from stress.arms.releases import check
from stress.arms.spec import parse_arm
from stress.cluster.base import ClusterSettings
from stress.cluster.local import LocalRuntime
arm = parse_arm("stock", check("3.2.1"))
runtime = LocalRuntime().prepare([arm])
cluster = runtime.open(arm, 1, Path(sys.argv[1]), ClusterSettings(schedulers=1, triggerers=0))
cluster.start()
cluster.pause("scheduler-1")
print(json.dumps([runtime.guard.record.run_id, runtime.guard.watchdog_pid]), flush=True)
time.sleep(1000)
"""


def await_healthy(cluster: LocalCluster) -> float:
    """Look after the cluster until every component has given a sign of life since now; the seconds that it took."""
    since = time.time()

    def healthy() -> bool:
        cluster.poll()
        return not cluster.unhealthy(since)

    assert eventually(healthy, HEALTHY_WITHIN_S), f"no sign of life of {sorted(cluster.unhealthy(since))}"
    return time.time() - since


def members(cluster: LocalCluster, component: str) -> list[procfs.ProcessInfo]:
    """The processes of a component."""
    member = cluster._member(component)
    assert member.process is not None
    table = procfs.table()
    return [table[pid] for pid in member.process.tree(table) if not table[pid].is_zombie]


def stopped(cluster: LocalCluster) -> list[procfs.ProcessInfo]:
    """Processes of any component that stand still."""
    running = [component.name for component in cluster.components if component.pid is not None]
    return [info for name in running for info in members(cluster, name) if info.state == "T"]


@pytest.mark.parametrize("fault", LOCAL)
def test_a_fault_is_injected_and_healed_and_every_component_is_healthy_again(cluster: LocalCluster, fault: str) -> None:
    numbers = {"share": 0.6, "choice": 3.0} if fault == "sessions" else {}
    target = "postgres" if FAULTS[fault].targets == ("postgres",) else "triggerer-1"
    planned = PlannedFault(0, 0.0, fault, target, 2.0 if FAULTS[fault].longest_s else 0.0, numbers)
    recorded: list[events.AnyEvent] = []
    pids = {component.name: component.pid for component in cluster.components}
    backends = sessions_of(cluster)
    injector = Injector(cluster, [planned], 100.0, recorded.append, time.sleep)
    injector.begin()
    injector.poll()
    match fault:
        case "pause":
            assert {info.state for info in members(cluster, target)} == {"T"}
        case "kill":
            assert eventually(lambda: any(has_ended(event, target) for event in cluster.poll()), 5)
        case "restart":
            assert {component.name: component.pid for component in cluster.components}[target] != pids[target]
        case "sessions":
            assert 0 < len(backends - sessions_of(cluster)) < len(backends)
        case "postgres":
            assert not backends & sessions_of(cluster)
        case _:
            pytest.fail(f"no effect of the fault {fault} is asserted here")
    injector.heal_all()
    kinds = [type(event).__name__ for event in recorded]
    assert kinds == ["FaultInjected", "FaultHealed"]
    print(f"{fault}: healthy again after {await_healthy(cluster):.1f} s")
    assert stopped(cluster) == []


def has_ended(event: ComponentEvent, component: str) -> bool:
    return (event.component, event.kind) == (component, EventKind.EXITED)


def sessions_of(cluster: LocalCluster) -> set[int]:
    """The server processes of all components' sessions."""
    with psycopg.connect(cluster.dsn("test")) as connection:
        statement = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name <> 'test'"
        return {pid for (pid,) in connection.execute(statement)}


def test_a_component_that_stands_still_is_unhealthy_and_no_other(cluster: LocalCluster) -> None:
    await_healthy(cluster)
    cluster.pause("scheduler-2")
    try:
        since = time.time()
        assert eventually(lambda: cluster.unhealthy(since) == {"scheduler-2"}, 30)
    finally:
        cluster.resume("scheduler-2")
    await_healthy(cluster)


def test_an_api_server_that_stands_still_is_unhealthy(cluster: LocalCluster) -> None:
    cluster.pause("api-server")
    try:
        assert "api-server" in cluster.unhealthy(0.0)
    finally:
        cluster.resume("api-server")
    await_healthy(cluster)


def test_a_component_that_stands_still_can_be_killed_and_its_undo_does_nothing(cluster: LocalCluster) -> None:
    cluster.pause("dag-processor")
    before = members(cluster, "dag-processor")
    cluster.kill("dag-processor", signal.SIGKILL)
    assert not any(procfs.is_same(info.pid, info.started) for info in before)
    assert eventually(lambda: cluster.poll() != [], 5)
    cluster.resume("dag-processor")
    await_healthy(cluster)


def test_a_component_that_is_down_can_be_neither_killed_nor_paused(cluster: LocalCluster) -> None:
    cluster.kill("dag-processor", signal.SIGKILL)
    assert eventually(lambda: cluster.poll() != [], 5)
    with pytest.raises(ComponentFailed, match="dag-processor is not running, so it can't be paused"):
        cluster.pause("dag-processor")
    with pytest.raises(ComponentFailed, match="dag-processor is not running, so it can't be sent SIGKILL"):
        cluster.kill("dag-processor", signal.SIGKILL)
    await_healthy(cluster)


def test_there_is_no_network_to_cut_off_or_slow(cluster: LocalCluster) -> None:
    with pytest.raises(FaultImpossible):
        cluster.cut_off("scheduler-1")
    with pytest.raises(FaultImpossible):
        cluster.slow("scheduler-1", 10, 1, 0)
    cluster.restore_network("scheduler-1")


def test_a_harness_that_is_killed_while_a_component_stands_still_leaves_nothing(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", HARNESS, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root},
    ) as harness:  # fmt: skip
        assert harness.stdout is not None
        run_id, watchdog_pid = json.loads(harness.stdout.readline())
        watchdog, record = procfs.read(watchdog_pid), registry.load(registry.record_path(run_id))
        assert watchdog is not None
        assert record is not None
        members = procfs.members(record.mark)
        assert any(info.state == "T" for info in members)
        harness.kill()
    left = [*members, watchdog]
    assert eventually(lambda: not any(procfs.is_same(info.pid, info.started) for info in left), 15)
    assert eventually(lambda: not Path(record.directory).exists(), 5)
    assert procfs.members(record.mark) == []
