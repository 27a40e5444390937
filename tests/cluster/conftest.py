"""An embedded PostgreSQL for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stress.cluster.postgres import Postgres
from stress.cluster.supervision.guard import RunGuard


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A running server of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        guard = RunGuard()
        server = Postgres(guard.directory / "postgres", guard.label)
        server.start()
        yield server
        server.stop()
        guard.close()
