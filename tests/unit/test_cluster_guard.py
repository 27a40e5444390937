"""What happens to a run's processes and files when its harness dies. The processes are small ones of our own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stress.cluster import orphans
from stress.cluster.errors import ClusterError
from stress.cluster.supervision import procfs, registry
from stress.cluster.supervision.guard import RunGuard
from tests.timing import eventually

# A harness with one component, made so that each way to find a process is needed: the component leaves the run's
# directory and has only its environment; its child gets an empty one, a session of its own, and has only the directory.
HARNESS = """
import os, sys, time
from pathlib import Path
from stress.cluster.supervision.guard import RunGuard
from stress.cluster.supervision.processes import Command, spawn
guard = RunGuard()
component = '''
import os, subprocess, sys, time
code = "import os, time; time.sleep(1000)"
subprocess.Popen([sys.executable, "-c", code], env={}, start_new_session=True)
os.chdir("/")
time.sleep(1000)
'''
log = guard.directory / "c.log"
process = spawn(Command("c", [sys.executable, "-c", component], dict(os.environ), log), guard.label)
print(guard.record.run_id, guard.watchdog_pid, flush=True)
time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A registry of the test's own."""
    monkeypatch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def start_harness() -> tuple[subprocess.Popen[str], registry.RunRecord, int]:
    """A harness in the middle of a run: its process, its record, its watchdog."""
    root = str(Path(__file__).resolve().parents[2])
    harness = subprocess.Popen(
        [sys.executable, "-c", HARNESS], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert harness.stdout is not None
    run_id, watchdog = harness.stdout.readline().split()
    harness.stdout.close()
    record = registry.load(registry.record_path(run_id))
    assert record is not None
    assert eventually(lambda: len(procfs.members(record.mark)) == 2, 15), "the component and its child are not members"
    return harness, record, int(watchdog)


def test_a_harness_that_is_killed_leaves_nothing() -> None:
    harness, record, watchdog = start_harness()
    harness.kill()
    harness.wait()
    # An orphan's zombie may stay until process 1 cares.
    assert eventually(lambda: (info := procfs.read(watchdog)) is None or info.is_zombie, 15)
    assert procfs.members(record.mark) == []
    assert not Path(record.directory).exists()
    assert not registry.record_path(record.run_id).exists()


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_watchdog_outlives_the_signals_that_are_for_the_harness(sig: signal.Signals) -> None:
    guard = RunGuard()
    try:
        # The kernel's own record, since a signal that is not ignored has an effect only some time after it is sent.
        status = Path(f"/proc/{guard.watchdog_pid}/status").read_text()
        (ignored,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigIgn:"))
        assert ignored & 1 << (sig - 1)
    finally:
        guard.close()


def test_a_watchdog_that_dies_is_noticed_and_replaced() -> None:
    guard = RunGuard()
    try:
        first = guard.watchdog_pid
        os.kill(first, signal.SIGKILL)
        told: list[str | None] = []

        def noticed() -> bool:
            told.append(guard.check())
            return told[-1] is not None

        assert eventually(noticed, 15)
        assert "exit code -9" in str(told[-1])
        assert guard.watchdog_pid != first
        assert guard.check() is None
    finally:
        guard.close()


def test_closing_removes_the_run_and_sends_the_watchdog_home() -> None:
    guard = RunGuard()
    assert Path(guard.record.directory).is_dir()
    guard.close()
    guard.close()
    assert not Path(guard.record.directory).exists()
    assert list(registry.records()) == []
    assert procfs.read(guard.watchdog_pid) is None


def test_what_a_run_and_its_watchdog_left_is_found_and_removed() -> None:
    harness, record, watchdog = start_harness()
    os.kill(watchdog, signal.SIGKILL)
    harness.kill()
    harness.wait()
    (left,) = orphans.find()
    assert left.record == record
    assert len(left.processes) == 2
    assert "2 processes" in left.describe()
    assert orphans.remove(left) == ()
    assert procfs.members(record.mark) == []
    assert not Path(record.directory).exists()
    assert orphans.find() == ()


def test_a_run_that_is_alive_is_no_orphan() -> None:
    guard = RunGuard()
    try:
        assert orphans.find() == ()
        alive = orphans.OrphanedRun(guard.record, (), guard.directory)
        assert orphans.remove(alive) == ()
        assert guard.directory.is_dir()
    finally:
        guard.close()


def test_a_directory_without_the_run_s_marker_is_never_removed(tmp_path: Path) -> None:
    for name, marker in (("airflow-stress-precious", "another-run"), ("precious", "a-run")):
        directory = tmp_path / name
        directory.mkdir()
        (directory / ".airflow-stress-run").write_text(marker)
        registry.forget(registry.RunRecord("a-run", 1, 1, "", str(directory), ""))
        assert directory.is_dir()


def test_a_record_that_is_damaged_is_passed_over(cache: Path) -> None:
    (cache / "runs").mkdir(parents=True)
    (cache / "runs" / "x.json").write_text('{"run_id": ')
    (cache / "runs" / "y.json").write_text("[]")
    assert orphans.find() == ()


def test_a_registry_that_can_t_be_written_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path / "file"))
    with pytest.raises(ClusterError, match="set AIRFLOW_STRESS_CACHE"):
        registry.register("a-run")
