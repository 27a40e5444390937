"""Each fault calls its primitives of the cluster, and says what must hold in spite of it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from stress.cluster.errors import ClusterError
from stress.faults import FAULTS
from stress.faults.base import PlannedFault
from stress.faults.recovery import CONFIG, HEALTH_THRESHOLD_S
from tests.unit.clusters import PaperCluster


@pytest.fixture
def cluster(tmp_path: Path) -> PaperCluster:
    """A cluster that only writes down what is done to it."""
    return PaperCluster(tmp_path)


@pytest.mark.parametrize(
    ("fault", "injected", "healed"),
    [
        ("kill", ("kill", "scheduler-1", signal.SIGKILL), None),
        ("restart", ("restart", "scheduler-1"), None),
        ("pause", ("pause", "scheduler-1"), ("resume", "scheduler-1")),
        ("cutoff", ("cut_off", "scheduler-1"), ("restore_network", "scheduler-1")),
        ("slow", ("slow", "scheduler-1", 30.0, 5.0, 1.0), ("restore_network", "scheduler-1")),
        ("postgres", ("restart_postgres",), None),
    ],
)
def test_a_fault_is_its_primitives(
    cluster: PaperCluster, fault: str, injected: tuple[object, ...], healed: tuple[object, ...] | None
) -> None:
    numbers = {"delay_ms": 30.0, "jitter_ms": 5.0, "loss_percent": 1.0}
    planned = PlannedFault(0, 1.0, fault, "scheduler-1", 1.0, numbers)
    FAULTS[fault].inject(cluster, planned)
    FAULTS[fault].heal(cluster, planned)
    assert cluster.done == [injected] + ([healed] if healed else [])


def test_sessions_that_can_t_be_asked_for_are_the_cluster_s_failure(cluster: PaperCluster) -> None:
    cluster.address = "postgresql://127.0.0.1:1/none"
    with pytest.raises(ClusterError, match="sessions can't be terminated"):
        FAULTS["sessions"].inject(
            cluster, PlannedFault(0, 0.0, "sessions", "postgres", 0.0, {"share": 0.5, "choice": 1.0})
        )


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_says_what_it_is(name: str) -> None:
    fault = FAULTS[name]
    assert fault.name == name
    assert set(fault.runtimes) <= {"local", "compose"}
    assert "never lost" in fault.invariants.callback
    assert "never stuck" in fault.invariants.task


def test_airflow_notices_within_a_block_that_somebody_is_dead() -> None:
    assert all(float(value) <= 60 for value in CONFIG.values())
    beats = ("scheduler.scheduler_heartbeat_sec", "triggerer.job_heartbeat_sec")
    assert all(float(CONFIG[beat]) * 5 < HEALTH_THRESHOLD_S for beat in beats)
