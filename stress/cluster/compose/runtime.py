"""Inside the `stress` container: what all blocks of a run share, on the engine that the project runs on.

    the project's containers -> patterns (`service`), and out of the way: their blocks' containers take their names
    one template database for each release, migrated by that release's own image; an arm's own code lies over it
    PostgreSQL stays the project's one, a database a block

What `docker compose up` started was the stock cluster. Between blocks and after the run its containers stand in their
places again, not started: Compose (2.26, for one) does not end a project in which a service has lost its container.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import docker
import requests
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from stress.arms.overlay import Part
from stress.arms.spec import Arm
from stress.cluster import differences
from stress.cluster.airflow import component_variables
from stress.cluster.base import ClusterSettings, PreparedRuntime, Progress, Runtime, silent
from stress.cluster.compose import overlays, secrets
from stress.cluster.compose.cluster import API_URL, SHARED, ComposeCluster, Site
from stress.cluster.compose.engine import (
    HARNESS,
    PROJECT_LABEL,
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
from stress.cluster.compose.project import CommandFailed, Project, airflow_image, own_release
from stress.cluster.compose.service import MIGRATE, Service
from stress.cluster.errors import ClusterError, ComponentFailed
from stress.cluster.postgres_settings import PostgresSettings
from stress.cluster.server import DatabaseServer
from stress.cluster.supervision.guard import RunGuard
from stress.cluster.supervision.processes import Label
from stress.components import Role
from stress.results import SettingDifference

_MIGRATE_TIMEOUT_S = 180
_POSTGRES_PORT = 5432
_POSTGRES_STOP_S = 10
Code = tuple[str, tuple[Part, ...]]
"""A release and what is laid over it."""

_PAGES: Mapping[str, int] = {"grafana": 3000, "prometheus": 9090}


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


class ComposeRuntime(Runtime):
    """The engine's containers of one project."""

    name = "compose"

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._started = contextlib.ExitStack()

    def prepare(self, arms: Sequence[Arm], progress: Progress = silent) -> PreparedComposeRuntime:
        """Patterns first, all of them: nothing is removed of a project that is not whole."""
        client = connect()
        self._started.callback(client.close)
        own = own_container(client)
        name = own.labels[PROJECT_LABEL]
        _refuse_a_second_harness(client, name, own)
        guard = RunGuard(self._run_id)
        self._started.callback(guard.close)
        try:
            cluster_secrets = secrets.load()
            password = secrets.database_password()
        except OSError as error:
            raise EngineError(f"the project's secrets are not mounted: {error}") from error
        project = Project.read(client, name, self._run_id)
        self._started.callback(_stop, project.postgres)
        server = DatabaseServer(secrets.HOST, _POSTGRES_PORT, secrets.USER, password)
        network = Network(client, name, self._run_id, own.attrs["Image"])
        network.name_harness(own)
        for address in _addresses(project):
            progress(address)
        progress("ending the stock cluster that compose started")
        project.remove_components()
        project.restore_components()
        sites: dict[Code, Site] = {}
        for release, parts in dict.fromkeys((arm.airflow.version, arm.overlay) for arm in arms):
            overlay: tuple[Path, ...] = ()
            if parts:
                progress(f"laying {' and '.join(part.path.name for part in parts)} over Airflow {release}")
                overlay = overlays.make(project, release, parts)
            progress(f"migrating a database for Airflow {release}")
            template = f"template_{len(sites)}"
            _migrate(project, server, release, template, overlay)
            self._started.callback(server.drop_database, template)
            sites[release, parts] = Site(project, server, network, cluster_secrets, template, overlay)
        prepared = PreparedComposeRuntime(guard.label, project, server, sites)
        self._started.callback(prepared.stop_clusters)
        return prepared

    def close(self) -> None:
        """Each step is tried even if the one before it failed.

        PostgreSQL is stopped, too: no component is left that uses it, and Compose stops only the services that its
        command line names. Its container stays, and Compose starts it again for the next run.
        """
        self._started.close()


class PreparedComposeRuntime(PreparedRuntime):
    """The project with a template database for the code of each arm."""

    def __init__(self, label: Label, project: Project, server: DatabaseServer, sites: Mapping[Code, Site]) -> None:
        """`sites` by the code of arms."""
        self._label = label
        self._project = project
        self._server = server
        self._sites = sites
        self._clusters: list[ComposeCluster] = []

    @property
    def label(self) -> Label:
        return self._label

    def facts(self) -> Mapping[str, str]:
        """What the run stands on."""
        client = self._project.client
        images = {service.image for service in self._project.services.values()}
        images |= {self._project.image(release) for release, _ in self._sites}
        described = []
        for image in sorted(images):
            labels = client.images.get(image).labels
            described.append(f"{image} (a stand-in)" if STAND_IN_LABEL in labels else image)
        return {
            "PostgreSQL": f"{self._server.version()}, {PostgresSettings().summary}",
            "Docker engine": str(client.version()["Version"]),
            "images": ", ".join(described),
        }

    def differences(self, arms: Sequence[Arm], settings: ClusterSettings) -> Sequence[SettingDifference]:
        """The settings of PostgreSQL and of the components that are not their defaults."""
        stock = self._project.services[Role.API_SERVER].environment
        configured = [
            differences.Configured(
                arm, {**stock, **component_variables(settings, arm, Role.API_SERVER, API_URL, SHARED, {})}
            )
            for arm in arms
        ]
        return [*differences.postgresql(self._server), *differences.airflow(configured, self._defaults_of)]

    def open(self, arm: Arm, block: int, directory: Path, settings: ClusterSettings) -> ComposeCluster:
        """A cluster for one block."""
        cluster = ComposeCluster(self._site(arm), arm, block, directory, settings, self._clusters.remove)
        self._clusters.append(cluster)
        return cluster

    def stop_clusters(self) -> None:
        """Stop every cluster that was opened. Each is tried even if the one before it failed."""
        with contextlib.ExitStack() as steps:
            for cluster in self._clusters:
                steps.callback(cluster.stop)

    def _defaults_of(self, arm: Arm) -> str:
        """What the script prints in a container of the arm's image. Raises ValueError if it fails."""
        site = self._site(arm)
        image = self._project.image(arm.airflow.version)
        command = ["python", str(differences.DEFAULTS_SCRIPT)]
        try:
            return self._project.output(image, "defaults", command, overlays.variables(self._project, site.overlay))
        except CommandFailed as error:
            raise ValueError(
                f"the defaults of {image} could not be read: {str(error).rpartition(chr(10))[2]}"
            ) from error

    def _site(self, arm: Arm) -> Site:
        site = self._sites.get((arm.airflow.version, arm.overlay))
        if site is None:
            raise ClusterError(f"arm {arm.name} was not among those that the runtime was prepared for")
        return site


def _addresses(project: Project) -> list[str]:
    """Where this project's Grafana and Prometheus can be opened, a line each; nothing for one that is not up."""
    lines = []
    for service, port in _PAGES.items():
        for container in containers_of(project.client, project.name, service):
            published = (container.attrs["NetworkSettings"].get("Ports") or {}).get(f"{port}/tcp") or []
            lines += [f"{service}: http://{at['HostIp']}:{at['HostPort']}" for at in published[:1]]
    return lines


def _stop(postgres: Container) -> None:
    try:
        postgres.stop(timeout=_POSTGRES_STOP_S)
    except NotFound:
        return
    except APIError as error:
        raise explain(error, "stopping PostgreSQL") from error


def _refuse_a_second_harness(client: docker.DockerClient, project: str, own: Container) -> None:
    others = [
        container.name
        for container in containers_of(client, project, HARNESS)
        if container.id != own.id and container.status == "running"
    ]
    if others:
        raise EngineError(
            f"another run goes on in project {project} (container {others[0]}): wait for its end, "
            "or use a project of your own (`docker compose -p NAME`)"
        )


def _migrate(project: Project, server: DatabaseServer, release: str, database: str, overlay: Sequence[Path]) -> None:
    """Make a database with the release's schema, by the release's own image with the overlay. Raises ComponentFailed if
    that fails.
    """
    server.drop_database(database)  # of a run that was killed
    server.create_database(database)
    pattern, image = project.services[MIGRATE], project.image(release)
    container = pattern.create(
        project.client,
        project.run_id,
        image,
        {"AIRFLOW_STRESS_DATABASE": database, **overlays.variables(project, overlay)},
        name=f"{pattern.container_name}-{database}",
    )
    try:
        container.start()
        code = container.wait(timeout=_MIGRATE_TIMEOUT_S)["StatusCode"]
        said = container.logs(tail=25).decode("utf-8", "replace")
    except APIError as error:
        raise explain(error, f"migrating a database with {image}") from error
    except requests.RequestException as error:
        raise ComponentFailed(f"`airflow db migrate` of {image} did not end within {_MIGRATE_TIMEOUT_S} s") from error
    finally:
        remove(container)
    if code != 0:
        raise ComponentFailed(
            f"`airflow db migrate` of {image} failed with exit code {code}; the end of its output:\n{said}"
        )
