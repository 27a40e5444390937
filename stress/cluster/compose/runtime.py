"""Inside the `stress` container: what all blocks of a run share, on the engine that the project runs on.

    the project's containers -> patterns (`service`), and out of the way: their blocks' containers take their names
    one template database for each release, migrated by that release's own image
    PostgreSQL stays the project's one, a database a block

What `docker compose up` started was the stock cluster. Between blocks and after the run its containers stand in their
places again, not started: Compose (2.26, for one) does not end a project in which a service has lost its container.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import docker
import requests
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from stress.arms.releases import DEFAULT_RELEASE
from stress.arms.spec import Arm
from stress.cluster import differences
from stress.cluster.airflow import component_variables
from stress.cluster.base import ClusterSecrets, ClusterSettings, Progress, Runtime, silent
from stress.cluster.compose import secrets
from stress.cluster.compose.cluster import SHARED, ComposeCluster
from stress.cluster.compose.engine import (
    HARNESS,
    PROJECT_LABEL,
    SERVICE_LABEL,
    STAND_IN_LABEL,
    EngineError,
    connect,
    containers_of,
    explain,
    missing_images,
    own_container,
    remove,
)
from stress.cluster.compose.network import Network
from stress.cluster.compose.service import MIGRATE, POSTGRES, Service
from stress.cluster.errors import ClusterError, ComponentFailed
from stress.cluster.guard import RunGuard
from stress.cluster.processes import Label
from stress.cluster.server import DatabaseServer
from stress.components import COMPONENTS, Role
from stress.results import SettingDifference

_MIGRATE_TIMEOUT_S = 180
_DEFAULTS_TIMEOUT_S = 60
_POSTGRES_PORT = 5432
_POSTGRES_STOP_S = 10
_PAGES: Mapping[str, int] = {"grafana": 3000, "prometheus": 9090}


def airflow_image(pattern: str, release: str, default_release: str) -> str:
    """The image of a release: the project's own for the project's release, else the one with the release as its tag."""
    return pattern if release == default_release else f"{pattern.rpartition(':')[0]}:{release}"


def faults(arms: Sequence[Arm]) -> list[str]:
    """Why the project can't take a run now, a sentence each. Answers within 3 s."""
    try:
        client = connect()
        own = own_container(client)
        pattern = Service.read(client, own.labels[PROJECT_LABEL], MIGRATE).image
        images = dict.fromkeys(airflow_image(pattern, arm.airflow.version, own_release()) for arm in arms)
        return missing_images(client, images)
    except EngineError as error:
        return [str(error)]


def own_release() -> str:
    """The release of the project's own image, as docker-compose.yml tells it."""
    return os.environ.get("AIRFLOW_STRESS_RELEASE", DEFAULT_RELEASE)


class ComposeRuntime(Runtime):
    """The engine's containers of one project."""

    name = "compose"

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._guard: RunGuard | None = None
        self._client: docker.DockerClient | None = None
        self._services: dict[str, Service] = {}
        self._postgres: Container | None = None
        self._server: DatabaseServer | None = None
        self._secrets: ClusterSecrets | None = None
        self._network: Network | None = None
        self._templates: dict[str, str] = {}
        self._clusters: list[ComposeCluster] = []
        self.project = ""

    @property
    def label(self) -> Label:
        if self._guard is None:
            raise ClusterError("the compose runtime has not been prepared")
        return self._guard.label

    @property
    def client(self) -> docker.DockerClient:
        if self._client is None:
            raise ClusterError("the compose runtime has not been prepared")
        return self._client

    @property
    def server(self) -> DatabaseServer:
        if self._server is None:
            raise ClusterError("the compose runtime has not been prepared")
        return self._server

    @property
    def postgres(self) -> Container:
        if self._postgres is None:
            raise ClusterError("the compose runtime has not been prepared")
        return self._postgres

    @property
    def network(self) -> Network:
        if self._network is None:
            raise ClusterError("the compose runtime has not been prepared")
        return self._network

    @property
    def secrets(self) -> ClusterSecrets:
        if self._secrets is None:
            raise ClusterError("the compose runtime has not been prepared")
        return self._secrets

    def image(self, arm: Arm) -> str:
        """The image that an arm's containers are made from."""
        return airflow_image(self._services[MIGRATE].image, arm.airflow.version, own_release())

    def service(self, name: str) -> Service:
        """The pattern of a service."""
        return self._services[name]

    def prepare(self, arms: Sequence[Arm], progress: Progress = silent) -> None:
        """Patterns first, all of them: nothing is removed of a project that is not whole."""
        self._client = connect()
        own = own_container(self._client)
        self.project = own.labels[PROJECT_LABEL]
        self._refuse_a_second_harness(own)
        self._guard = RunGuard(self.run_id)
        try:
            self._secrets = secrets.load()
            password = secrets.database_password()
        except OSError as error:
            raise EngineError(f"the project's secrets are not mounted: {error}") from error
        self._services = {
            name: Service.read(self._client, self.project, name) for name in (*COMPONENTS, MIGRATE, POSTGRES)
        }
        self._postgres = containers_of(self._client, self.project, POSTGRES)[0]
        self._server = DatabaseServer(secrets.HOST, _POSTGRES_PORT, secrets.USER, password)
        self._network = Network(self._client, self.project, self.run_id, own.attrs["Image"])
        self._network.name_harness(own)
        for address in self._addresses():
            progress(address)
        progress("ending the stock cluster that compose started")
        self.remove_components()
        self.restore_components()
        for arm in arms:
            if arm.airflow.version not in self._templates:
                progress(f"migrating a database for Airflow {arm.airflow.version}")
                self._templates[arm.airflow.version] = self._migrate(arm, f"template_{len(self._templates)}")

    def facts(self) -> Mapping[str, str]:
        """What the runs of this engine stand on."""
        images = {service.image for service in self._services.values()}
        images |= {airflow_image(self._services[MIGRATE].image, release, own_release()) for release in self._templates}
        described = []
        for image in sorted(images):
            labels = self.client.images.get(image).labels
            described.append(f"{image} (a stand-in)" if STAND_IN_LABEL in labels else image)
        return {
            "PostgreSQL": f"{self.server.version()}, deadlock_timeout 100 ms, fsync off",
            "Docker engine": str(self.client.version()["Version"]),
            "images": ", ".join(described),
        }

    def differences(self, arms: Sequence[Arm], settings: ClusterSettings) -> Sequence[SettingDifference]:
        """What PostgreSQL and the components are told that is not their default."""
        told = self.service(Role.API_SERVER).environment
        configured = [
            differences.Configured(
                arm,
                {
                    **told,
                    **component_variables(settings, arm, Role.API_SERVER, f"http://{Role.API_SERVER}:8080", SHARED, {}),
                },
            )
            for arm in arms
        ]
        return [*differences.postgresql(self.server), *differences.airflow(configured, self._defaults_of)]

    def _defaults_of(self, arm: Arm) -> str:
        """What the script prints in a container of the arm's image. Raises ValueError if it fails."""
        pattern = self.service(MIGRATE)
        image = self.image(arm)
        container = replace(
            pattern,
            config={**pattern.config, "Entrypoint": ["python", str(differences.DEFAULTS_SCRIPT)], "Cmd": []},
        ).create(self.client, self.run_id, image, {}, name=f"{pattern.container_name}-defaults")
        try:
            container.start()
            code = container.wait(timeout=_DEFAULTS_TIMEOUT_S)["StatusCode"]
            printed = container.logs(stdout=True, stderr=False).decode()
            said = container.logs(stdout=False, stderr=True).decode("utf-8", "replace").strip()
        except (APIError, requests.RequestException) as error:
            raise ValueError(f"the defaults of {image} could not be read: {error}") from error
        finally:
            remove(container)
        if code != 0:
            raise ValueError(said.rpartition("\n")[2] or f"exit code {code}")
        return printed

    def open(self, arm: Arm, block: int, directory: Path, settings: ClusterSettings) -> ComposeCluster:
        """A cluster for one block."""
        template = self._templates.get(arm.airflow.version)
        if template is None:
            raise ClusterError(f"arm {arm.name} was not among those that the runtime was prepared for")
        cluster = ComposeCluster(self, arm, block, directory, settings, template)
        self._clusters.append(cluster)
        return cluster

    def forget(self, cluster: ComposeCluster) -> None:
        """The cluster has stopped."""
        if cluster in self._clusters:
            self._clusters.remove(cluster)

    def close(self) -> None:
        """Each step is tried even if the one before it failed.

        PostgreSQL is stopped, too: no component is left that uses it, and Compose stops only the services that its
        command line names. Its container stays, and Compose starts it again for the next run.
        """
        with contextlib.ExitStack() as steps:
            if self._client is not None:
                steps.callback(self._client.close)
            if self._guard is not None:
                steps.callback(self._guard.close)
            if self._postgres is not None:
                steps.callback(self._stop_postgres)
            for template in self._templates.values():
                steps.callback(self.server.drop_database, template)
            for cluster in self._clusters:
                steps.callback(cluster.stop)
        self._clusters.clear()
        self._templates.clear()

    def _stop_postgres(self) -> None:
        try:
            self.postgres.stop(timeout=_POSTGRES_STOP_S)
        except NotFound:
            return
        except APIError as error:
            raise explain(error, "stopping PostgreSQL") from error

    def _addresses(self) -> list[str]:
        """Where this project's Grafana and Prometheus can be opened, a line each; nothing for one that is not up."""
        lines = []
        for service, port in _PAGES.items():
            for container in containers_of(self.client, self.project, service):
                published = (container.attrs["NetworkSettings"].get("Ports") or {}).get(f"{port}/tcp") or []
                lines += [f"{service}: http://{at['HostIp']}:{at['HostPort']}" for at in published[:1]]
        return lines

    def remove_components(self) -> None:
        """End and remove whatever containers the project has of Airflow's components. Raises EngineError."""
        for container in containers_of(self.client, self.project):
            if container.labels.get(SERVICE_LABEL) in COMPONENTS:
                remove(container)

    def restore_components(self) -> None:
        """Put the components' own containers in their places, not started. Raises EngineError."""
        for name in COMPONENTS:
            self._services[name].restore(self.client)

    def _refuse_a_second_harness(self, own: Container) -> None:
        others = [
            container.name
            for container in containers_of(self.client, self.project, HARNESS)
            if container.id != own.id and container.status == "running"
        ]
        if others:
            raise EngineError(
                f"another run goes on in project {self.project} (container {others[0]}): wait for its end, "
                "or use a project of your own (`docker compose -p NAME`)"
            )

    def _migrate(self, arm: Arm, database: str) -> str:
        self.server.drop_database(database)  # of a run that was killed
        self.server.create_database(database)
        container = self.service(MIGRATE).create(
            self.client,
            self.run_id,
            self.image(arm),
            {"AIRFLOW_STRESS_DATABASE": database},
            name=f"{self.service(MIGRATE).container_name}-{database}",
        )
        try:
            container.start()
            code = container.wait(timeout=_MIGRATE_TIMEOUT_S)["StatusCode"]
            said = container.logs(tail=25).decode("utf-8", "replace")
        except APIError as error:
            raise explain(error, f"migrating a database with {self.image(arm)}") from error
        except requests.RequestException as error:
            raise ComponentFailed(
                f"`airflow db migrate` of {self.image(arm)} did not end within {_MIGRATE_TIMEOUT_S} s"
            ) from error
        finally:
            remove(container)
        if code != 0:
            raise ComponentFailed(
                f"`airflow db migrate` of {self.image(arm)} failed with exit code {code}; the end of its output:\n"
                f"{said}"
            )
        return database
