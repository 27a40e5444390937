"""`stress run --runtime compose`, ended by a signal: the run is kept, and nothing of its project is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import docker
import pytest

from stress.cluster.compose.engine import ONE_RUN_LABEL
from stress.layout import ROOT
from tests.timing import wait_for

pytestmark = pytest.mark.timeout(300)


def left(engine: docker.DockerClient, run_id: str) -> list[str]:
    """What the engine has of the run's project."""
    label: dict[str, str | list[str] | bool] = {"label": f"{ONE_RUN_LABEL}={run_id}"}
    return [
        *(str(container.name) for container in engine.containers.list(all=True, filters=label)),
        *(str(volume.name) for volume in engine.volumes.list(filters=label)),
        *(str(network.name) for network in engine.networks.list(filters=label)),
    ]


def test_a_signal_while_a_cluster_starts_leaves_nothing_of_the_project(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    directory, output = tmp_path / "run", tmp_path / "output"
    words = ["run", "--runtime", "compose", "--budget", "60s", "--no-tui", "--out", str(directory)]
    with (
        output.open("wb") as file,
        subprocess.Popen([sys.executable, "-m", "stress", *words], cwd=ROOT, stdout=file, stderr=file) as process,
    ):
        wait_for(lambda: "starting the cluster" in output.read_text(), 120, "the first block")
        run_id = json.loads((directory / "manifest.json").read_text())["run_id"]
        assert left(engine, run_id) != []
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 128 + signal.SIGTERM
    assert left(engine, run_id) == []
    manifest = json.loads((directory / "manifest.json").read_text())
    assert (manifest["state"], manifest["ended_at"] is not None) == ("interrupted", True)
