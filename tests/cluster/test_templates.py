"""A migrated database that comes from the cache is the one that Airflow's migration made."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from stress.arms.environments import AirflowEnvironment, environment_for
from stress.arms.releases import check
from stress.cluster.base import ClusterSecrets
from stress.cluster.errors import ComponentFailed
from stress.cluster.local.templates import kept_schema, make_template
from stress.cluster.postgres import Postgres, find_binaries
from stress.cluster.supervision.guard import RunGuard

SECRETS = ClusterSecrets.make()


@pytest.fixture(scope="module")
def environment() -> AirflowEnvironment:
    """The release's environment, from the user's cache."""
    return environment_for(check("3.2.1"))


@pytest.fixture(scope="module")
def guard() -> Iterator[RunGuard]:
    """A run."""
    guard = RunGuard()
    yield guard
    guard.close()


@pytest.fixture(scope="module")
def server(guard: RunGuard) -> Iterator[Postgres]:
    """A server without any database of Airflow's."""
    server = Postgres(guard.directory / "postgres", guard.label)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def migrated(
    environment: AirflowEnvironment, server: Postgres, guard: RunGuard, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A cache with what Airflow's migration made, which is in the database `migrated`."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_STRESS_CACHE", str(cache))
        assert make(environment, server, guard, "migrated")
    return cache


@pytest.fixture
def kept(environment: AirflowEnvironment, migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The release's file in a cache of the test's own."""
    monkeypatch.setenv("AIRFLOW_STRESS_CACHE", str(shutil.copytree(migrated, tmp_path / "cache")))
    return kept_schema(environment)


def make(environment: AirflowEnvironment, server: Postgres, guard: RunGuard, database: str) -> bool:
    """Make a template; whether Airflow migrated it."""
    make_template(environment, server, database, guard.directory, SECRETS, guard.label)
    return (guard.directory / database / "migrate.log").exists()


def content(server: Postgres, database: str) -> list[str]:
    """Everything in a database, as lines of text but for the random words that `pg_dump` guards psql with."""
    dsn = server.dsn(database, "test")
    done = subprocess.run([find_binaries() / "bin" / "pg_dump", dsn], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


@pytest.fixture
def unable(environment: AirflowEnvironment, tmp_path: Path) -> AirflowEnvironment:
    """The same release, whose program can't migrate anything, and says that it was asked to."""
    program = tmp_path / "airflow"
    program.write_text("#!/bin/sh\necho no migration today\nexit 1\n")
    program.chmod(0o755)
    return replace(environment, airflow=program)


ASKED = r"(?s)failed with exit code 1.*no migration today"


def test_one_from_the_cache_is_what_the_migration_made(
    unable: AirflowEnvironment, server: Postgres, guard: RunGuard, kept: Path
) -> None:
    assert not make(unable, server, guard, "read")
    made = content(server, "migrated")
    assert any(line.startswith("CREATE TABLE public.task_instance ") for line in made)
    assert content(server, "read") == made
    assert SECRETS.fernet_key.encode() not in kept.read_bytes()
    assert server.password.encode() not in kept.read_bytes()


@pytest.mark.parametrize("damage", ["cut_off", "wrong"])
def test_a_damaged_one_is_not_used(
    unable: AirflowEnvironment, server: Postgres, guard: RunGuard, kept: Path, damage: str
) -> None:
    good = kept.read_bytes()
    kept.write_bytes(good[: len(good) // 2] if damage == "cut_off" else good.replace(b"CREATE INDEX", b"CREATE INDE"))
    with pytest.raises(ComponentFailed, match=ASKED):
        make(unable, server, guard, damage)
    assert not kept.exists()
    with psycopg.connect(server.dsn(damage, "test")) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_an_overlay_is_migrated_by_its_own_code(
    unable: AirflowEnvironment, server: Postgres, guard: RunGuard, kept: Path, tmp_path: Path
) -> None:
    with pytest.raises(ComponentFailed, match=ASKED):
        make(replace(unable, overlay=(tmp_path,)), server, guard, "overlay")
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_a_migration_that_fails_is_not_kept(
    unable: AirflowEnvironment, server: Postgres, guard: RunGuard, kept: Path
) -> None:
    kept.unlink()
    with pytest.raises(ComponentFailed, match=ASKED):
        make(unable, server, guard, "failed")
    assert list(kept.parent.iterdir()) == []


def test_no_room_for_it_stops_nothing(
    environment: AirflowEnvironment,
    server: Postgres,
    guard: RunGuard,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "schemas").write_text("a file where the directory should be")
    monkeypatch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path))
    assert make(environment, server, guard, "no_room")
    assert len(content(server, "no_room")) == len(content(server, "migrated"))
