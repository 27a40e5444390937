"""The Docker engine: how it is reached, who we are on it, and what can be wrong with it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterable

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container

from stress.cluster.compose.tree import project_tree
from stress.cluster.errors import ClusterError, ComponentFailed

PROJECT_LABEL = "org.airflow-stress.project"
"""On every container, volume and network of a project (docker-compose.yml); nothing without it is ever touched."""
RUN_LABEL = "org.airflow-stress.run"
"""On what a run made: its blocks' containers and its helpers."""
ONE_RUN_LABEL = "org.airflow-stress.one-run"
"""On everything of a project that was made for one run by `stress run --runtime compose`: the run's id."""
STAND_IN_LABEL = "org.airflow-stress.stand-in"
"""On images that stand in for official ones where no registry can be reached (`.ci/standins`)."""
SERVICE_LABEL = "com.docker.compose.service"
COMPOSE_PROJECT_LABEL = "com.docker.compose.project"
HARNESS = "stress"

_DEFAULT_HOST = "unix:///var/run/docker.sock"
_CONNECT_TIMEOUT_S = 2
_COMMAND_TIMEOUT_S = 10
_REQUEST_TIMEOUT_S = 60


class EngineError(ClusterError):
    """The engine can't be used, or refused something; the message says what to do."""


def connect() -> docker.DockerClient:
    """A client of an engine that answers. Raises EngineError within about 2 s if there is none."""
    try:
        _reach_socket()
        client = docker.from_env(timeout=_CONNECT_TIMEOUT_S)
        client.ping()
    except (DockerException, requests.RequestException, OSError) as error:
        raise EngineError(_why(error)) from error
    client.api.timeout = _REQUEST_TIMEOUT_S
    return client


def _reach_socket() -> None:
    """Raise OSError if the engine's Unix socket cannot be reached.

    docker's client leaves its own socket open when it cannot connect, and nothing outside of it can close that socket.
    """
    host = os.environ.get("DOCKER_HOST") or _DEFAULT_HOST
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_CONNECT_TIMEOUT_S)
            probe.connect(host.removeprefix("unix://"))


def _why(error: Exception) -> str:
    text = str(error)
    if "Permission denied" in text or "PermissionError" in text:
        return (
            "you may not use the Docker engine's socket: add yourself to its group (`sudo usermod -aG docker $USER`, "
            "then log in again), or use --runtime local, which needs no Docker"
        )
    if "No such file" in text or "FileNotFoundError" in text or "refused" in text:
        return (
            "no Docker engine answers: install Docker with Compose v2 and start it (`systemctl start docker`), "
            "or use --runtime local, which needs no Docker"
        )
    return f"the Docker engine does not answer ({text.partition(chr(10))[0]}): `docker info` should work first"


def compose_fault() -> str | None:
    """Why `docker compose` can't be used on this machine, in a sentence; None if it can."""
    docker_cli = shutil.which("docker")
    if docker_cli is None:
        return "there is no `docker` on the path: install Docker with Compose v2, or use --runtime local"
    try:
        done = subprocess.run(
            [docker_cli, "compose", "version", "--short"],
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"`docker compose version` does not answer: {error}"
    version = done.stdout.strip().removeprefix("v")
    major = version.partition(".")[0]
    if done.returncode == 0 and major.isdigit() and int(major) >= 2:
        return None
    found = "only Compose v1 (`docker-compose`) is here" if shutil.which("docker-compose") else "it is not installed"
    if done.returncode == 0:
        found = f"this is {version or 'an unknown version'}"
    return f"`docker compose` of version 2 or newer is needed, and {found}: install Docker's Compose plugin"


def engine_fault() -> str | None:
    """Why containers can't be used on this machine, in a sentence; None if they can."""
    fault = compose_fault()
    if fault is None:
        try:
            connect().close()
        except EngineError as error:
            return str(error)
    return fault


def missing_images(client: docker.DockerClient, names: Iterable[str]) -> list[str]:
    """A sentence for each image that is not on the engine. Nothing is pulled: that takes minutes."""
    faults = []
    for name in names:
        try:
            client.images.get(name)
        except ImageNotFound:
            faults.append(
                f"the image {name} is not on this engine: `docker pull {name}`, "
                "or, where no registry can be reached, make a stand-in with `.ci/standins`"
            )
    return faults


def compose_images(environment: dict[str, str]) -> list[str]:
    """The images that docker-compose.yml names for a run, but for the one that it builds. Raises EngineError."""
    services = ("postgres", "migrate", "secrets")
    done = subprocess.run(
        [
            shutil.which("docker") or "docker",
            "compose",
            "--project-directory",
            str(project_tree()),
            "config",
            "--images",
            *services,
        ],
        capture_output=True,
        text=True,
        timeout=_COMMAND_TIMEOUT_S,
        check=False,
        env=environment,
    )
    if done.returncode != 0:
        raise EngineError(f"docker-compose.yml can't be read: {done.stderr.strip()}")
    return sorted({line for line in done.stdout.split() if not line.startswith("airflow-stress/")})


def own_container(client: docker.DockerClient) -> Container:
    """The container that this process runs in. Raises EngineError if it is in none, or in none of a project's."""
    try:
        own = client.containers.get(socket.gethostname())
    except NotFound as error:
        raise EngineError(
            "the compose cluster is driven from the project's own `stress` container: `docker compose up`, "
            "`docker compose run --rm stress run ...`, or `stress run --runtime compose` on the machine itself"
        ) from error
    if PROJECT_LABEL not in own.labels:
        raise EngineError(f"this container has no label {PROJECT_LABEL}: it was not started by docker-compose.yml")
    return own


def containers_of(client: docker.DockerClient, project: str, service: str | None = None) -> list[Container]:
    """The containers of a project, running or not: those that carry our label and Compose's."""
    labels = [f"{PROJECT_LABEL}={project}", f"{COMPOSE_PROJECT_LABEL}={project}"]
    labels += [f"{SERVICE_LABEL}={service}"] if service is not None else []
    found: list[Container] = client.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
    return found


_NOT_THERE = (404, 409)


def explain(error: APIError, doing: str) -> EngineError:
    """An engine's refusal as an error of ours."""
    return EngineError(f"{doing}: the Docker engine refused: {error.explanation or error}")


def explain_for(component: str | None, error: APIError, doing: str) -> ClusterError:
    """The same; `ComponentFailed` if the component does not run now, so that it cannot be paused, killed or slowed."""
    if error.status_code in _NOT_THERE:
        return ComponentFailed(f"{doing}: {component} does not run: {error.explanation or error}")
    return explain(error, doing)


def remove(container: Container) -> None:
    """End a container at once and remove it with its anonymous volumes; one that is gone already is fine."""
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 409:  # its removal is under way already
            raise explain(error, f"removing the container {container.name}") from error
