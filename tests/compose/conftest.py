"""Projects for the tests: each of its own name, and nothing of it left afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from stress.cluster.compose.engine import SERVICE_LABEL
from tests.compose.projects import Project


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    """The engine; `make test-compose` sees to it that there is one."""
    return docker.from_env()


@pytest.fixture
def project(engine: docker.DockerClient, tmp_path: Path) -> Iterator[Project]:
    """A project that ends with its test."""
    yield from _project(engine, tmp_path)


@pytest.fixture(scope="module")
def lasting_project(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project for all tests of a module."""
    yield from _project(engine, tmp_path_factory.mktemp("project"))


def _project(engine: docker.DockerClient, directory: Path) -> Iterator[Project]:
    made = Project(f"airflow-stress-test-{secrets.token_hex(3)}", directory / "runs", engine)
    made.runs.mkdir()
    try:
        yield made
    finally:
        for helper in made.containers():
            if not helper.labels.get(SERVICE_LABEL):
                helper.remove(force=True)
        made.down()
        assert made.left() == []
