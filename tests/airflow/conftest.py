"""Fixtures for tests that run a release of Airflow on a real PostgreSQL.

Run them with a release's own interpreter::

    AIRFLOW_STRESS_TEST_DSN=postgresql://superuser@127.0.0.1:5432/postgres PYTHON_OF_A_RELEASE -m pytest
    tests/airflow

The server is only given databases named ``airflow_stress_test_<pid>...``, which are dropped at the end. This
directory must stay without ``__init__.py``: as a package it would be named ``airflow``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

DSN_VARIABLE = "AIRFLOW_STRESS_TEST_DSN"
ROOT = Path(__file__).resolve().parents[2]
FIXES_DIRECTORY = ROOT / "fixes"
MOUNTED_DIRECTORY = ROOT / "stress" / "mounted"
MIGRATE_TIMEOUT_S = 120

if not os.environ.get(DSN_VARIABLE):
    pytest.exit(
        f"{DSN_VARIABLE} is not set: give these tests a PostgreSQL superuser, for example "
        f"{DSN_VARIABLE}=postgresql://postgres@127.0.0.1:5432/postgres",
        returncode=64,
    )

# Airflow reads its configuration when it is imported: the machine's own is taken away, and ours put there,
# first.
for _name in [name for name in os.environ if name.startswith("AIRFLOW") and name != DSN_VARIABLE]:
    del os.environ[_name]
sys.path[:0] = [str(FIXES_DIRECTORY), str(MOUNTED_DIRECTORY)]

from servers import Server  # noqa: E402 - the path and the environment had to be set first

_HOME = tempfile.TemporaryDirectory(prefix="airflow-stress-test-")
_SERVER = Server(os.environ[DSN_VARIABLE], f"airflow_stress_test_{os.getpid()}_{uuid.uuid4().hex[:6]}")
_DAGS = Path(_HOME.name) / "dags"
_DAGS.mkdir()
os.environ.update(
    {
        "AIRFLOW_HOME": _HOME.name,
        "AIRFLOW__CORE__DAGS_FOLDER": str(_DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "idle_executor.IdleExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _SERVER.url(),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "PYTHONPATH": str(Path(__file__).parent),
    }
)


@pytest.fixture(scope="session")
def template() -> Iterator[str]:
    """The name of a database with Airflow's tables, migrated once."""
    name = f"{_SERVER.database}_template"
    _SERVER.create(name)
    environment = {**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _SERVER.url(name)}
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        check=True,
        env=environment,
        timeout=MIGRATE_TIMEOUT_S,
        stdout=subprocess.DEVNULL,
    )
    yield name
    _SERVER.drop(name)


@pytest.fixture
def database(template: str) -> Iterator[Server]:
    """A fresh database, with which the Airflow in this process is configured."""
    from airflow import settings

    from airflow_stress_explore.sql.hooks import listen

    listen(settings.engine)
    settings.engine.dispose()
    _SERVER.create(_SERVER.database, template=template)
    # So that a deadlock shows itself in a tenth of a second.
    _SERVER.run(f'ALTER DATABASE "{_SERVER.database}" SET deadlock_timeout = %s', "100ms")
    yield _SERVER
    settings.Session.remove()
    settings.engine.dispose()
    _SERVER.drop(_SERVER.database)


@pytest.fixture
def mounted() -> Callable[..., AbstractContextManager[dict[str, str]]]:
    """Mount fixes by name for the time of a block; gives each one's status, as reported."""
    from mounting import mounted_fixes

    return mounted_fixes


@pytest.fixture(scope="session")
def release() -> str:
    """The release under test."""
    import airflow

    return airflow.__version__
