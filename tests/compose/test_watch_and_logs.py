"""What the engine tells, and what a container prints: seen whole, across restarts, on a real engine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from stress.cluster.compose.engine import COMPOSE_PROJECT_LABEL, PROJECT_LABEL, SERVICE_LABEL, containers_of
from stress.cluster.compose.logs import LogFollower
from stress.cluster.compose.watch import EngineEvent, Watch
from tests.timing import wait_for

IMAGE = "postgres:16.10"
"""Any image with a shell that a compose run needs anyway."""


@pytest.fixture
def name() -> str:
    return f"airflow-stress-test-{secrets.token_hex(3)}"


@pytest.fixture
def made() -> Iterator[list[Container]]:
    """Containers to remove in the end."""
    containers: list[Container] = []
    yield containers
    for container in containers:
        container.remove(force=True, v=True)


def start(engine: docker.DockerClient, made: list[Container], project: str, script: str, **options: Any) -> Container:
    """A container of a project that runs a shell script."""
    container = engine.containers.create(
        IMAGE, entrypoint=["sh", "-c"], command=[script], labels={PROJECT_LABEL: project}, **options
    )
    made.append(container)
    container.start()
    return container


def drained(watch: Watch, until: int) -> list[EngineEvent]:
    """So many things that the engine told."""
    told: list[EngineEvent] = []

    def enough() -> bool:
        told.extend(watch.drain())
        return len(told) >= until

    wait_for(enough, 30, f"{until} events")
    return told


def test_ends_and_restarts_by_the_policy_are_told_in_order(
    engine: docker.DockerClient, made: list[Container], name: str
) -> None:
    watch = Watch(engine, name)
    container = start(engine, made, name, "exit 7", restart_policy={"Name": "on-failure", "MaximumRetryCount": 1})
    told = drained(watch, 4)
    watch.close()
    assert [(one.container, one.action, one.exit_code) for one in told] == [
        (container.id, "start", None),
        (container.id, "die", 7),
        (container.id, "start", None),
        (container.id, "die", 7),
    ]
    assert watch.problem is None


def test_a_container_that_runs_out_of_memory_is_told_apart_from_one_that_is_killed(
    engine: docker.DockerClient, made: list[Container], name: str
) -> None:
    watch = Watch(engine, name)
    # `tail` keeps the whole of a line. The shell lives on: of a container that ends at the same moment this engine
    # sends the event late or not at all (3 of 40).
    script = "head -c 300m /dev/zero | tail; while :; do sleep 1; done"
    full = start(engine, made, name, script, mem_limit="16m", memswap_limit="16m")
    told = drained(watch, 2)
    full.kill()
    watch.close()
    assert [one.action for one in told][:2] == ["start", "oom"]

    watch = Watch(engine, name)
    killed = start(engine, made, name, "while :; do sleep 1; done")
    killed.kill()
    told = drained(watch, 2)
    watch.close()
    ends = [(one.action, one.exit_code) for one in told if one.container == killed.id]
    assert ends == [("start", None), ("die", -9)]


def test_other_projects_are_not_heard(engine: docker.DockerClient, made: list[Container], name: str) -> None:
    watch = Watch(engine, name)
    start(engine, made, f"{name}-other", "exit 1").wait()
    own = start(engine, made, name, "exit 0")
    told = drained(watch, 2)
    watch.close()
    assert {one.container for one in told} == {own.id}


def test_an_engine_that_goes_away_is_a_problem_and_not_silence(engine: docker.DockerClient, name: str) -> None:
    watch = Watch(engine, name)
    watch._stream.close()
    wait_for(lambda: watch.problem is not None, 10, "the problem")
    assert "can't be followed" in str(watch.problem)


def test_the_output_of_all_lives_of_a_container_is_in_its_log_once(
    engine: docker.DockerClient, made: list[Container], name: str, tmp_path: Path
) -> None:
    script = "for i in 1 2 3; do echo life line $i; done; echo to the other stream >&2; printf 'no end'; exit 3"
    container = start(engine, made, name, script, restart_policy={"Name": "on-failure", "MaximumRetryCount": 2})
    follower = LogFollower(engine, str(container.id), tmp_path / "some.log")
    log = tmp_path / "some.log"
    wait_for(lambda: log.exists() and log.read_text().count("no end") == 3, 30, "three lives")
    container.wait()
    follower.finish(10)
    text = log.read_text()
    assert text.count("life line 2\n") == 3
    assert text.count("to the other stream\n") == 3
    assert follower.problem is None


def test_a_long_line_is_one_line(engine: docker.DockerClient, made: list[Container], name: str, tmp_path: Path) -> None:
    container = start(engine, made, name, "head -c 100000 /dev/zero | tr '\\0' x; echo; echo end")
    follower = LogFollower(engine, str(container.id), tmp_path / "some.log")
    container.wait()
    follower.finish(10)
    assert (tmp_path / "some.log").read_text() == "x" * 100_000 + "\nend\n"


def test_a_container_that_only_looks_like_ours_is_not_a_project_s(
    engine: docker.DockerClient, made: list[Container], name: str
) -> None:
    decoy = engine.containers.create(
        IMAGE, name=f"{name}-scheduler-1-1", labels={COMPOSE_PROJECT_LABEL: name, SERVICE_LABEL: "scheduler-1"}
    )
    made.append(decoy)
    assert containers_of(engine, name) == []
    own = engine.containers.create(IMAGE, labels={COMPOSE_PROJECT_LABEL: name, PROJECT_LABEL: name})
    made.append(own)
    assert [container.id for container in containers_of(engine, name)] == [own.id]
