"""The project of a run: its containers on the engine, which are the patterns of the blocks' containers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import docker
import requests
from docker.errors import APIError
from docker.models.containers import Container

from stress.arms.releases import DEFAULT_RELEASE
from stress.arms.spec import Arm
from stress.cluster.compose.engine import SERVICE_LABEL, containers_of, remove
from stress.cluster.compose.service import MIGRATE, POSTGRES, Service
from stress.components import COMPONENTS, ComponentSpec

_OUTPUT_TIMEOUT_S = 120


class CommandFailed(Exception):  # noqa: N818 - it says what happened
    """A command in a container failed; the message is what it wrote to stderr."""


def airflow_image(pattern: str, release: str, default_release: str) -> str:
    """The image of a release: the project's own for the project's release, else the one with the release as its tag."""
    return pattern if release == default_release else f"{pattern.rpartition(':')[0]}:{release}"


def own_release() -> str:
    """The release of the project's own image, as docker-compose.yml tells it."""
    return os.environ.get("AIRFLOW_STRESS_RELEASE", DEFAULT_RELEASE)


@dataclass(frozen=True)
class Project:
    """A project for one run. `services` has each component, `migrate` and `postgres`."""

    client: docker.DockerClient
    name: str
    run_id: str
    services: Mapping[str, Service]
    postgres: Container

    @classmethod
    def read(cls, client: docker.DockerClient, name: str, run_id: str) -> Project:
        """The project as Compose made it. Raises EngineError if a service has no container."""
        services = {each: Service.read(client, name, each) for each in (*COMPONENTS, MIGRATE, POSTGRES)}
        return cls(client, name, run_id, services, containers_of(client, name, POSTGRES)[0])

    def image(self, release: str) -> str:
        """The image that containers of a release are made from."""
        return airflow_image(self.services[MIGRATE].image, release, own_release())

    def create(self, spec: ComponentSpec, arm: Arm, environment: Mapping[str, str]) -> Container:
        """A container of a component for an arm, not started. Raises EngineError."""
        image = self.image(arm.airflow.version)
        return self.services[spec.name].create(self.client, self.run_id, image, environment, command=spec.command)

    def output(self, image: str, purpose: str, command: Sequence[str], environment: Mapping[str, str]) -> str:
        """What a command prints in a container like `migrate`'s, which is removed. Raises CommandFailed."""
        pattern = self.services[MIGRATE]
        config = {**pattern.config, "Entrypoint": list(command), "Cmd": []}
        container = replace(pattern, config=config).create(
            self.client, self.run_id, image, environment, name=f"{pattern.container_name}-{purpose}"
        )
        try:
            container.start()
            code = container.wait(timeout=_OUTPUT_TIMEOUT_S)["StatusCode"]
            printed: str = container.logs(stdout=True, stderr=False).decode()
            said: str = container.logs(stdout=False, stderr=True).decode("utf-8", "replace").strip()
        except (APIError, requests.RequestException) as error:
            raise CommandFailed(str(error)) from error
        finally:
            remove(container)
        if code != 0:
            raise CommandFailed(said or f"exit code {code}")
        return printed

    def remove_components(self) -> None:
        """End and remove all containers that the project has of Airflow's components. Raises EngineError."""
        for container in containers_of(self.client, self.name):
            if container.labels.get(SERVICE_LABEL) in COMPONENTS:
                remove(container)

    def restore_components(self) -> None:
        """Put the components' own containers in their places, not started. Raises EngineError."""
        for name in COMPONENTS:
            self.services[name].restore(self.client)
