"""A compose service as a pattern: what its container looks like, and how to make others like it.

docker-compose.yml stays the one place that says what a component is: its mounts, networks, limits, restart policy. What
`docker compose up` made of it is read from the engine, and a block's container is the same with another environment and
perhaps another release's image, as Compose would make it anew after a change of the file.

Only what Compose asked for is taken over, never what came from the image: the variables, labels and entrypoint of one
release's image must not end up in a container of another's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError
from docker.models.containers import Container

from stress.cluster.compose.engine import (
    COMPOSE_PROJECT_LABEL,
    RUN_LABEL,
    SERVICE_LABEL,
    EngineError,
    containers_of,
    explain,
)

POSTGRES = "postgres"
MIGRATE = "migrate"

_CONFIG_HASH_LABEL = "com.docker.compose.config-hash"
# What a container may get from its image, and must not keep when the image is another one.
_FROM_IMAGE = ("Entrypoint", "Cmd", "WorkingDir", "User", "Healthcheck", "StopSignal", "Shell")
_TAKEN = ("Hostname", "Domainname", "Tty", "OpenStdin", *_FROM_IMAGE)


@dataclass(frozen=True)
class Service:
    """A pattern. `config` and `host_config` are the engine's own forms (`docker inspect`)."""

    name: str
    container_name: str
    image: str
    config: Mapping[str, Any]
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    host_config: Mapping[str, Any]
    network: str

    @classmethod
    def read(cls, client: docker.DockerClient, project: str, name: str) -> Service:
        """The pattern of a service. Raises EngineError if Compose has made no container of it."""
        found = [c for c in containers_of(client, project, name) if c.labels.get("com.docker.compose.oneoff") != "True"]
        if not found:
            raise EngineError(
                f"project {project} has no container of the service {name}: start the run by `docker compose up` or "
                "`docker compose run`, which make the cluster's containers first"
            )
        return cls.of(client, found[0])

    @classmethod
    def of(cls, client: docker.DockerClient, container: Container) -> Service:
        """The pattern that a container is."""
        attributes = container.attrs
        config = attributes["Config"]
        image_config = client.images.get(attributes["Image"]).attrs["Config"]
        from_image = _variables(image_config.get("Env"))
        networks = attributes["NetworkSettings"]["Networks"]
        return cls(
            name=container.labels[SERVICE_LABEL],
            container_name=container.name or "",
            image=config["Image"],
            config={
                key: config[key]
                for key in _TAKEN
                if config.get(key) and (key not in _FROM_IMAGE or config[key] != image_config.get(key))
            },
            environment={k: v for k, v in _variables(config.get("Env")).items() if from_image.get(k) != v},
            labels={k: v for k, v in config["Labels"].items() if (image_config.get("Labels") or {}).get(k) != v},
            host_config=attributes["HostConfig"],
            network=next(iter(networks), ""),
        )

    def create(
        self,
        client: docker.DockerClient,
        run_id: str,
        image: str,
        environment: Mapping[str, str],
        *,
        name: str | None = None,
        command: Sequence[str] | None = None,
    ) -> Container:
        """A container after the pattern, not started. `environment` goes over the pattern's, `command` replaces it.

        Raises EngineError, also if the name is taken by a container that isn't ours.
        """
        return self._make(
            client,
            name or self.container_name,
            {
                "Image": image,
                # The harness looks after health itself, at no cost to the cluster.
                "Healthcheck": {"Test": ["NONE"]},
                **({} if command is None else {"Cmd": list(command)}),
            },
            {**self.environment, **environment},
            # Another hash than the service's: the next `docker compose up` makes its own container instead of this.
            {**self.labels, RUN_LABEL: run_id, _CONFIG_HASH_LABEL: run_id},
        )

    def restore(self, client: docker.DockerClient) -> None:
        """The container that Compose had made, once more, not started: Compose can't end a project with a gap in it.

        Raises EngineError.
        """
        self._make(client, self.container_name, {"Image": self.image}, self.environment, self.labels)

    def _make(
        self,
        client: docker.DockerClient,
        name: str,
        config: Mapping[str, Any],
        environment: Mapping[str, str],
        labels: Mapping[str, str],
    ) -> Container:
        whole: dict[str, Any] = {
            **self.config,
            **config,
            "Env": [f"{key}={value}" for key, value in environment.items()],
            "Labels": dict(labels),
            "HostConfig": dict(self.host_config),
            "NetworkingConfig": {"EndpointsConfig": {self.network: {"Aliases": [self.name]}}},
        }
        try:
            made = client.api.create_container_from_config(whole, name)  # type: ignore[no-untyped-call]
            return client.containers.get(made["Id"])
        except APIError as error:
            if error.status_code == 409:
                raise EngineError(
                    f"the name {name} is taken by a container that is not this project's "
                    f"({self.labels.get(COMPOSE_PROJECT_LABEL)}): remove or rename that one, or give the project "
                    "another name (`docker compose -p NAME`)"
                ) from error
            raise explain(error, f"making a container of {self.name}") from error


def _variables(pairs: Sequence[str] | None) -> dict[str, str]:
    found = {}
    for pair in pairs or ():
        key, _, value = pair.partition("=")
        found[key] = value
    return found
