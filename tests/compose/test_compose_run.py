"""The compose form as CI uses it: stock against fixed on containers, with Prometheus scraping, to a verdict.

One run for all tests of this module: the nine blocks of the first look, of the scenario that is decided soonest.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from stress.cluster.compose.engine import COMPOSE_PROJECT_LABEL, RUN_LABEL, SERVICE_LABEL
from stress.components import COMPONENTS
from tests.compose.projects import Project, events_of, the_run

# The batch of deadlines passes 7.5 s after the load begins; its callbacks are awaited after the load.
OPTIONS = "--scenario deadline_miss --load 10s --budget 7m --seed 1 --no-tui"
TIMEOUT_S = 780

pytestmark = pytest.mark.timeout(1200)


@dataclass
class Done:
    """A run that has ended, and what stood beside it."""

    project: Project
    process: subprocess.CompletedProcess[str]
    directory: Path
    decoy: Container

    @property
    def results(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.directory / "results.json").read_text())
        return read


@pytest.fixture(scope="module")
def run(lasting_project: Project, engine: docker.DockerClient) -> Iterator[Done]:
    """`docker compose up --exit-code-from stress stress prometheus`, beside a container that only looks like ours."""
    project = lasting_project
    project.variables["AIRFLOW_STRESS_ARGS"] = OPTIONS
    project.variables["AIRFLOW_STRESS_PROMETHEUS_PORT"] = "0"
    # As Compose labels its own, named like one of a block's containers, but without our label.
    decoy = engine.containers.create(
        "postgres:16.10",
        name=f"{project.name}-scheduler-3-1",
        labels={COMPOSE_PROJECT_LABEL: project.name + "-other", SERVICE_LABEL: "scheduler-1"},
    )
    try:
        done = project.compose(
            "up", "--build", "--exit-code-from", "stress", "stress", "prometheus", timeout_s=TIMEOUT_S
        )
        print(done.stdout[-6000:], done.stderr[-3000:])
        yield Done(project, done, the_run(project), decoy)
    finally:
        decoy.remove(force=True, v=True)


def test_it_ends_with_the_runs_own_exit_code_and_verdict(run: Done) -> None:
    assert run.process.returncode == 0
    race = run.results["races"]["duplicate_callback"]
    assert race["verdict"] == "removed"
    assert race["arms"]["stock"]["incidents"] > 50
    assert race["arms"]["fixed"]["incidents"] == 0
    assert race["arms"]["fixed"]["opportunities"] > 50


def test_nothing_was_blind_and_every_process_loaded_its_fixes(run: Done) -> None:
    assert run.results["blind"] == []
    loaded = {event["component"] for event in events_of(run.directory, ["fix_reported"]) if event["status"] == "loaded"}
    assert {"scheduler-1", "scheduler-2", "triggerer-1", "triggerer-2"} <= loaded


def test_the_logs_of_every_component_of_every_block_are_kept(run: Done) -> None:
    blocks = sorted((run.directory / "logs").iterdir())
    assert len(blocks) >= 6
    for block in blocks:
        for component in COMPONENTS:
            assert (block / f"{component}.log").stat().st_size > 0, f"{block.name}/{component}"


def test_the_manifest_says_on_what_it_ran(run: Done) -> None:
    manifest = json.loads((run.directory / "manifest.json").read_text())
    assert manifest["runtime"] == "compose"
    assert manifest["settings"]["images"].startswith("apache/airflow:3.2.1")
    assert manifest["settings"]["PostgreSQL"][0].isdigit()


def test_nothing_runs_afterwards(run: Done) -> None:
    """Compose stops what its command line names; the harness ends the rest, PostgreSQL included."""
    assert [container.name for container in run.project.containers() if container.status == "running"] == []


def test_the_manifest_has_the_settings_that_differ(run: Done) -> None:
    manifest = json.loads((run.directory / "manifest.json").read_text())
    found = {(row["system"], row["name"]): (row["value"], row["default"]) for row in manifest["differences"]}
    assert found["PostgreSQL", "deadlock_timeout"] == ("100 ms", "1000 ms")
    assert found["Airflow 3.2.1", "core.parallelism"] == ("64", "32")
    assert found["Airflow 3.2.1", "core.fernet_key"][0] == "(secret)"


def test_the_blocks_containers_are_gone_and_others_are_left_alone(run: Done) -> None:
    """Compose's own stand in their places again, not started."""
    for container in run.project.containers():
        assert RUN_LABEL not in container.labels, container.name
        if container.labels[SERVICE_LABEL] in COMPONENTS:
            assert container.status == "created", container.name
    assert {container.labels[SERVICE_LABEL] for container in run.project.containers()} == {
        *COMPONENTS,
        *("stress", "prometheus", "postgres", "secrets", "database", "migrate"),
    }
    run.decoy.reload()
    assert run.decoy.status == "created"
