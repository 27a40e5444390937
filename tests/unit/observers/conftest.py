"""What the tests of the observers share: a cluster on paper, a clock, and a server that is played."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stress.observers import connection, postgres_log
from stress.observers.postgres_log import PostgresLog
from tests.unit.clusters import PaperCluster
from tests.unit.observers.played_server import Clock, Server


@pytest.fixture
def cluster(tmp_path: Path) -> PaperCluster:
    """A cluster on paper whose components have begun their logs."""
    cluster = PaperCluster(tmp_path)
    for component in cluster.components:
        component.log_file.touch()
    return cluster


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The observer's time."""
    clock = Clock()
    monkeypatch.setattr(postgres_log, "time", clock)
    monkeypatch.setattr(connection, "time", clock)
    return clock


@pytest.fixture
def server(cluster: PaperCluster, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that answers."""
    server = Server(cluster.postgres_log)
    monkeypatch.setattr(psycopg, "connect", server.connect)
    return server


@pytest.fixture
def observer(cluster: PaperCluster, server: Server, clock: Clock) -> Iterator[PostgresLog]:
    """An observer that has begun."""
    assert server.log.exists()
    assert clock.now
    observer = PostgresLog(cluster)
    observer.start()
    yield observer
    observer.close()
