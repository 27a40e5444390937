"""The embedded PostgreSQL, for real: what it logs, whom it lets in, where it runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stress.cluster import postgres as module
from stress.cluster.errors import PostgresError
from stress.cluster.postgres import Postgres
from stress.cluster.postgres_settings import LOG_FILE, PostgresSettings
from stress.cluster.supervision import procfs
from stress.cluster.supervision.guard import RunGuard
from tests.timing import wait_for


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunGuard]:
    """A run of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        guard = RunGuard()
        yield guard
        guard.close()


@pytest.fixture(scope="module")
def server(guard: RunGuard) -> Iterator[Postgres]:
    """A running server."""
    server = Postgres(guard.directory / "postgres", guard.label)
    server.start()
    yield server
    server.stop()


def log_entries(server: Postgres, state_code: str) -> list[dict[str, str]]:
    """The log's entries with this SQLSTATE, once there is one."""

    def logged() -> list[dict[str, str]]:
        # The last line may be under way.
        whole = (server.log_directory / LOG_FILE).read_text(encoding="utf-8").rpartition("\n")[0]
        return [entry for line in whole.splitlines() if (entry := json.loads(line)).get("state_code") == state_code]

    wait_for(lambda: logged() != [], 10, f"{state_code} in the log")
    return logged()


def test_a_deadlock_is_logged_with_both_statements_and_the_victim_s_name(server: Postgres) -> None:
    server.create_database("deadlock")
    both_hold = threading.Barrier(2, timeout=10)

    def cross(name: str, first: int, second: int) -> None:
        with psycopg.connect(server.dsn("deadlock", name)) as connection:
            connection.execute("UPDATE t SET v = 1 WHERE id = %s", (first,))
            both_hold.wait()
            try:
                connection.execute("UPDATE t SET v = 2 WHERE id = %s", (second,))
            except psycopg.errors.DeadlockDetected:
                connection.rollback()

    with psycopg.connect(server.dsn("deadlock", "setup")) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
        connection.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
    threads = [threading.Thread(target=cross, args=args) for args in (("left", 1, 2), ("right", 2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    (entry,) = log_entries(server, "40P01")
    assert entry["application_name"] in ("left", "right")
    assert entry["detail"].count("UPDATE t SET v = 2") == 2


def test_a_database_is_copied_from_a_template(server: Postgres) -> None:
    server.create_database("original")
    with psycopg.connect(server.dsn("original", "setup")) as connection:
        connection.execute("CREATE TABLE t AS SELECT 42 AS v")
    server.create_database("copy", template="original")
    with psycopg.connect(server.dsn("copy", "test")) as connection:
        assert connection.execute("SELECT v FROM t").fetchone() == (42,)


def test_a_database_is_dropped_though_somebody_is_connected(server: Postgres) -> None:
    server.create_database("busy")
    connection = psycopg.connect(server.dsn("busy", "test"))
    server.drop_database("busy")
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


def test_nobody_gets_in_without_the_password(server: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{server.port}/postgres?passfile=/nonexistent")


def test_it_listens_on_the_loopback_address_only(server: Postgres) -> None:
    with socket.socket() as probe:
        probe.settimeout(2)
        assert probe.connect_ex(("127.0.0.2", server.port)) != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change")
def test_root_does_not_run_it_as_root(server: Postgres) -> None:
    assert server.process is not None
    assert Path(f"/proc/{server.process.pid}").stat().st_uid != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change")
def test_programs_that_others_can_t_reach_are_copied(guard: RunGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    passable = module._passable
    monkeypatch.setattr(module, "_passable", lambda path: path.name != "postgres" or (path.is_dir() and passable(path)))
    server = Postgres(guard.directory / "unreachable", guard.label)
    server.start()
    server.stop()
    program = guard.directory / "unreachable" / "programs" / "pginstall" / "bin" / "postgres"
    assert program.stat().st_uid == 0
    assert not program.stat().st_mode & 0o022


def test_a_database_s_name_can_t_carry_sql(server: Postgres) -> None:
    with pytest.raises(PostgresError, match="can't be the name of a database"):
        server.create_database('x"; DROP DATABASE postgres; --')


def test_a_taken_port_is_told(guard: RunGuard) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = PostgresSettings(port=taken.getsockname()[1])
        with pytest.raises(PostgresError, match=rf"port {settings.port} of 127\.0\.0\.1 is taken"):
            Postgres(guard.directory / "taken", guard.label, settings).start()


def test_a_server_that_can_t_start_quotes_its_log(guard: RunGuard) -> None:
    server = Postgres(guard.directory / "broken", guard.label, PostgresSettings(max_connections=-1))
    with pytest.raises(PostgresError, match=r"(?s)did not start: .*max_connections"):
        server.start()


def test_its_whole_tree_is_known_as_the_run_s_and_stopping_ends_it(guard: RunGuard) -> None:
    server = Postgres(guard.directory / "stopped", guard.label)
    server.start()
    assert server.process is not None
    connection = psycopg.connect(server.dsn("postgres", "test"))
    table = procfs.table()
    tree = [table[pid] for pid in server.process.tree(table)]
    assert {info.pid for info in tree} <= {info.pid for info in procfs.members(guard.record.mark)}
    server.stop()
    connection.close()
    # The log's writer is an orphan then; a zombie of it may stay until process 1 cares.
    assert not any(procfs.is_same(info.pid, info.started) for info in tree)


def test_a_server_that_is_killed_is_noticed(guard: RunGuard) -> None:
    server = Postgres(guard.directory / "killed", guard.label)
    server.start()
    assert server.process is not None
    assert server.exit_code() is None
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(10)
    assert server.exit_code() == -signal.SIGKILL
    server.stop()
