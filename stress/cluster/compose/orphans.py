"""What a killed harness left behind on the engine: `stress clean` lists it, then removes it.

A project is left behind when no harness of its runs is alive, and one of these holds: there are containers that a run
made (a run removes its own), its harness was killed, or the project was made for one run alone.
A project whose run ended in order, and that is kept up to read Prometheus and Grafana, is not; nor is one that was
started by hand without a run. What does not carry the project's label is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass

from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.models.volumes import Volume

from stress.cluster.compose.engine import (
    HARNESS,
    ONE_RUN_LABEL,
    PROJECT_LABEL,
    RUN_LABEL,
    SERVICE_LABEL,
    EngineError,
    connect,
    explain,
    remove,
)
from stress.cluster.supervision.registry import records

_SIGNALLED = 128


@dataclass(frozen=True)
class OrphanedProject:
    """What is left of one project."""

    project: str
    containers: tuple[Container, ...]
    volumes: tuple[Volume, ...]
    networks: tuple[Network, ...]

    def describe(self) -> str:
        """One line for the user."""
        paused = sum(container.status == "paused" for container in self.containers)
        return (
            f"compose project {self.project}: {len(self.containers)} containers"
            f"{f' ({paused} paused)' if paused else ''}, {len(self.volumes)} volumes, {len(self.networks)} networks"
        )


def find() -> tuple[OrphanedProject, ...]:
    """What there is. Changes nothing. Nothing where no engine answers: then nothing of ours runs on it, either."""
    try:
        client = connect()
    except EngineError:
        return ()
    try:
        containers: list[Container] = client.containers.list(
            all=True, filters={"label": PROJECT_LABEL}, ignore_removed=True
        )
        volumes: list[Volume] = client.volumes.list(filters={"label": PROJECT_LABEL})
        networks: list[Network] = client.networks.list(filters={"label": PROJECT_LABEL})
    except APIError as error:
        raise explain(error, "looking for what runs left behind") from error
    alive = {record.run_id for record in records() if record.harness_is_alive}
    things: list[Container | Volume | Network] = [*containers, *volumes, *networks]
    projects = {_label(thing) for thing in things}
    found = []
    for project in sorted(projects):
        own: tuple[Container, ...] = tuple(container for container in containers if _label(container) == project)
        kept: tuple[Volume, ...] = tuple(volume for volume in volumes if _label(volume) == project)
        nets: tuple[Network, ...] = tuple(network for network in networks if _label(network) == project)
        if _is_orphaned(own, kept, alive):
            found.append(OrphanedProject(project, own, kept, nets))
    return tuple(found)


def clean_up(orphan: OrphanedProject) -> None:
    """Heal what is paused, then remove all of it. Raises EngineError."""
    for container in orphan.containers:
        if container.status == "paused":
            try:
                container.unpause()
            except APIError as error:
                if error.status_code not in (404, 409):
                    raise explain(error, f"resuming {container.name}") from error
        remove(container)
    things: list[Network | Volume] = [*orphan.networks, *orphan.volumes]
    for thing in things:
        try:
            thing.remove()
        except NotFound:
            continue
        except APIError as error:
            raise explain(error, f"removing {thing.name}") from error


def _is_orphaned(containers: tuple[Container, ...], volumes: tuple[Volume, ...], alive: set[str]) -> bool:
    harnesses = [container for container in containers if container.labels.get(SERVICE_LABEL) == HARNESS]
    if any(container.status in ("running", "paused", "created") for container in harnesses):
        return False
    things: list[Container | Volume] = [*containers, *volumes]
    one_runs = {_one_run(thing) for thing in things} - {""}
    if one_runs:
        return not one_runs & alive
    killed = any(int(container.attrs["State"]["ExitCode"]) > _SIGNALLED for container in harnesses)
    return killed or any(RUN_LABEL in container.labels for container in containers)


def _label(thing: Container | Volume | Network) -> str:
    return str(_labels(thing).get(PROJECT_LABEL, ""))


def _one_run(thing: Container | Volume) -> str:
    return str(_labels(thing).get(ONE_RUN_LABEL, ""))


def _labels(thing: Container | Volume | Network) -> dict[str, str]:
    attributes = thing.attrs or {}
    return attributes.get("Labels") or attributes.get("Config", {}).get("Labels") or {}
