"""The local cluster, for real, once: health, restarts, memory, and starts that fail.

The environment of the release comes from the user's cache, as a run's does; it is made if it isn't there.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.request
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from stress.arms.releases import check
from stress.arms.spec import Arm, parse_arm
from stress.cluster.base import ClusterSecrets, ClusterSettings, ComponentEvent, EventKind
from stress.cluster.errors import ClusterError, ComponentFailed, PostgresError
from stress.cluster.local import LocalCluster, LocalRuntime, PreparedLocalRuntime, seats
from stress.cluster.local.environment import base_environment
from stress.cluster.postgres_settings import PostgresSettings
from stress.cluster.supervision import procfs, registry
from tests.timing import eventually

NAMES = ("api-server", "scheduler-1", "scheduler-2", "dag-processor", "triggerer-1", "triggerer-2")


def test_every_component_is_there_and_told_by_its_name(cluster: LocalCluster) -> None:
    assert tuple(component.name for component in cluster.components) == NAMES
    with psycopg.connect(cluster.dsn()) as connection:
        hosts = {host for (host,) in connection.execute("SELECT hostname FROM job WHERE state = 'running'")}
        assert hosts == set(NAMES) - {"api-server"}
        connected = connection.execute("SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = %s",
                                       (cluster.database,))  # fmt: skip
        assert {"scheduler-1", "scheduler-2", "triggerer-1", "triggerer-2"} <= {name for (name,) in connected}
        assert connection.execute("SHOW deadlock_timeout").fetchone() == ("50ms",)


def test_airflow_says_that_it_is_healthy(cluster: LocalCluster) -> None:
    with urllib.request.urlopen(f"{cluster.api_url}/api/v2/monitor/health", timeout=20) as response:  # noqa: S310
        health = json.load(response)
    assert {part: health[part]["status"] for part in ("metadatabase", "scheduler", "triggerer", "dag_processor")} == {
        "metadatabase": "healthy", "scheduler": "healthy", "triggerer": "healthy", "dag_processor": "healthy",
    }  # fmt: skip


def test_everything_listens_on_the_loopback_address_only(cluster: LocalCluster) -> None:
    mine = {pid for member in cluster._members if member.process for pid in member.process.tree()}
    inodes = {link for pid in mine for link in _socket_links(pid)}
    inside: list[str] = []
    outside: list[str] = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            is_listening = fields[3] == "0A"
            is_loopback = fields[1].startswith(("0100007F:", "00000000000000000000000001000000:"))
            if is_listening and f"socket:[{fields[9]}]" in inodes:
                (inside if is_loopback else outside).append(line)
    assert inside, "nothing listens at all"
    assert outside == []


def test_memory_is_within_bounds(cluster: LocalCluster) -> None:
    memory = cluster.memory_bytes()
    assert set(memory) == {*NAMES, "postgres", "preloaded parents"}
    assert all(value > 10 * 2**20 for value in memory.values())
    assert sum(memory.values()) < 1.6 * 2**30


def test_a_component_that_dies_is_restarted_and_counted(cluster: LocalCluster) -> None:
    cluster.poll()
    cluster.kill("triggerer-2", signal.SIGKILL)
    events: list[ComponentEvent] = []

    def restarted() -> bool:
        events.extend(cluster.poll())
        return any(event.kind is EventKind.RESTARTED for event in events)

    assert eventually(restarted, 20)
    assert [(event.component, event.kind, event.exit_code, event.restarts) for event in events] == [
        ("triggerer-2", EventKind.EXITED, -signal.SIGKILL, 0),
        ("triggerer-2", EventKind.RESTARTED, None, 1),
    ]
    assert {component.name: component.restarts for component in cluster.components}["triggerer-2"] == 1
    at_work = "SELECT count(*) FROM job WHERE state = 'running' AND hostname = 'triggerer-2' AND start_date > %s"
    since = events[-1].at

    def is_at_work() -> bool:
        with psycopg.connect(cluster.dsn()) as connection:
            row = connection.execute(at_work.replace("%s", "to_timestamp(%s)"), (since,)).fetchone()
        return row is not None and row[0] == 1

    assert eventually(is_at_work, 90)


def test_the_machine_s_own_airflow_settings_are_left_out(
    runtime: PreparedLocalRuntime, arm: Arm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "1")
    monkeypatch.setenv("AIRFLOW_HOME", "/somebody's")
    variables = base_environment(runtime.environment(arm), tmp_path, ClusterSecrets.make())
    assert "AIRFLOW__CORE__PARALLELISM" not in variables
    assert variables["AIRFLOW_HOME"] == str(tmp_path)


def test_a_port_that_is_taken_meanwhile_is_told(
    runtime: PreparedLocalRuntime,
    arm: Arm,
    settings: ClusterSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(seats, "free_port", lambda: taken.getsockname()[1])
        cluster = runtime.open(arm, 2, tmp_path, replace(settings, schedulers=0, triggerers=0))
        try:
            with pytest.raises(
                ComponentFailed, match=r"api-server ended with exit code .* is taken by another program"
            ):
                cluster.start()
        finally:
            cluster.stop()


def test_a_component_that_fails_at_its_start_is_named_with_its_log(
    runtime: PreparedLocalRuntime, arm: Arm, settings: ClusterSettings, tmp_path: Path
) -> None:
    broken = replace(settings, executor="no.such.Executor", schedulers=1, triggerers=0)
    cluster = runtime.open(arm, 3, tmp_path, broken)
    try:
        with pytest.raises(ComponentFailed, match=r"(?s)scheduler-1 ended with exit code .*scheduler-1\.log:\n.*no"):
            cluster.start()
    finally:
        cluster.stop()
    with psycopg.connect(runtime.postgres.dsn("postgres", "test")) as connection:
        assert connection.execute("SELECT 1 FROM pg_database WHERE datname = 'block_3'").fetchone() is None


def test_a_server_that_ends_in_the_middle_of_a_block_is_told(arm: Arm, tmp_path: Path) -> None:
    with LocalRuntime() as unprepared:
        runtime = unprepared.prepare([arm])
        cluster = runtime.open(arm, 1, tmp_path, ClusterSettings())
        assert cluster.poll() == []
        assert runtime.postgres.process is not None
        os.kill(runtime.postgres.process.pid, signal.SIGKILL)
        runtime.postgres.process.wait(10)
        with pytest.raises(PostgresError, match="in the middle of a block, with exit code -9"):
            cluster.poll()


def test_a_preparation_that_fails_half_way_leaves_nothing(arm: Arm) -> None:
    run_id = registry.new_run_id()
    with LocalRuntime(run_id, PostgresSettings(max_connections=-1)) as runtime:
        with pytest.raises(PostgresError, match="did not start"):
            runtime.prepare([arm])
        record = registry.load(registry.record_path(run_id))
        assert record is not None
        assert Path(record.directory).is_dir()
    assert procfs.members(record.mark) == []
    assert not Path(record.directory).exists()
    assert registry.load(registry.record_path(run_id)) is None


def test_an_arm_that_was_not_prepared_is_told(runtime: PreparedLocalRuntime, tmp_path: Path) -> None:
    other = parse_arm("other=airflow:3.3.2", check("3.3.2"))
    with pytest.raises(ClusterError, match="arm other was not among those that the runtime was prepared for"):
        runtime.open(other, 9, tmp_path, ClusterSettings())


def _socket_links(pid: int) -> set[str]:
    links = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            links.add(str(entry.readlink()))
    except OSError:
        pass  # it has ended meanwhile, or closed something
    return links
