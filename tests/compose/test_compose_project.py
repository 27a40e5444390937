"""What happens around a run: releases in any order, two projects at once, a harness that Prometheus finds."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from stress.cluster.compose.engine import PROJECT_LABEL
from stress.cluster.compose.network import Network
from tests.compose.projects import Project

IMAGE = "airflow-stress/stress:local"

pytestmark = pytest.mark.timeout(600)


def test_an_older_release_comes_up_after_a_newer_one(project: Project) -> None:
    for release in ("3.3.2", "3.2.1"):
        project.variables["AIRFLOW_VERSION"] = release
        done = project.compose("up", "migrate")
        (migrate,) = project.containers("migrate")
        assert migrate.attrs["State"]["ExitCode"] == 0, done.stdout[-3000:]


def test_two_projects_publish_their_pages_beside_each_other(
    project: Project, engine: docker.DockerClient, tmp_path: Path
) -> None:
    other = Project(f"{project.name}-other", tmp_path, engine)
    try:
        for each in (project, other):
            done = each.compose("up", "--detach", "prometheus")
            assert done.returncode == 0, done.stderr[-2000:]
        ports = [each.compose("port", "prometheus", "9090").stdout.strip() for each in (project, other)]
        assert len(set(ports)) == 2
        assert all(port.startswith("127.0.0.1:") for port in ports)
    finally:
        other.down()


def test_a_harness_without_an_alias_gets_one_that_others_find(project: Project, engine: docker.DockerClient) -> None:
    assert project.compose("build").returncode == 0
    network = engine.networks.create(f"{project.name}-names", labels={PROJECT_LABEL: project.name})
    labels = {PROJECT_LABEL: project.name}
    harness, asks = (
        engine.containers.run(
            IMAGE, detach=True, entrypoint=["sleep", "300"], labels=labels, network=network.name, name=name
        )
        for name in (f"{project.name}-harness", f"{project.name}-asks")
    )
    try:
        look_up = ["python", "-c", "import socket; print(socket.gethostbyname('stress'))"]
        assert asks.exec_run(look_up).exit_code != 0
        harness.reload()
        Network(engine, project.name, "run", harness.attrs["Image"]).name_harness(harness)
        harness.reload()
        found = asks.exec_run(look_up)
        assert found.exit_code == 0
        address = harness.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"]
        assert isinstance(found.output, bytes)
        assert found.output.decode().strip() == address
    finally:
        for container in (harness, asks):
            container.remove(force=True)
        network.remove()
