"""An arm's own code in containers: its directories are in a volume that the components mount read only.

The base is the release's image: a diff is applied to a copy of the image's `airflow` packages, which need not be those
of the release's lock, and whether Airflow can be imported with the code is tried in a container of the image. The
harness lays the directories out in its cache, which is in the volume (docker-compose.yml), so that they have the same
path in all containers; a checkout without a revision, which is used where it is on a local runtime, is copied there.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from docker.errors import APIError
from packaging.utils import canonicalize_name

from stress.arms.errors import EnvironmentFailed
from stress.arms.overlay import IMPORTS, Part, import_failure, written
from stress.cache import cache_directory
from stress.cluster.compose.engine import explain, remove
from stress.cluster.compose.project import CommandFailed, Project
from stress.cluster.compose.service import MIGRATE

_PACKAGES = (
    "import importlib.metadata, importlib.util, json; "
    "print(json.dumps([importlib.util.find_spec('airflow').origin, "
    "[each.metadata['Name'] for each in importlib.metadata.distributions()]]))"
)
"""Prints the file of the `airflow` package of an image, and the names of its distributions. Nothing is imported."""

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "node_modules")


def make(project: Project, release: str, parts: Sequence[Part]) -> tuple[Path, ...]:
    """The directories of the parts for PYTHONPATH, as the components see them.

    Raises EnvironmentFailed with a sentence if they cannot be made, or if Airflow cannot be imported from them.
    """
    image = project.image(release)
    try:
        origin, names = json.loads(project.output(image, "packages", ["python", "-c", _PACKAGES], {}))
    except (CommandFailed, ValueError) as error:
        raise EnvironmentFailed(f"the packages of {image} could not be read: {error}") from error
    digest = str(project.client.images.get(image).id).rpartition(":")[2][:12]
    base = f"image-{digest}"
    found = written(
        parts,
        frozenset(canonicalize_name(name) for name in names if name),
        base,
        lambda: _copied_packages(project, image, Path(origin).parent, cache_directory() / base),
    )
    made = _visible(found, parts)
    try:
        project.output(image, "import", ["python", "-c", IMPORTS], variables(project, made))
    except CommandFailed as error:
        raise EnvironmentFailed(import_failure(parts, f"{image}", str(error))) from error
    return made


def variables(project: Project, overlay: Sequence[Path]) -> Mapping[str, str]:
    """The variable that puts an overlay before the other code of a container that is not a component's."""
    stock = project.services[MIGRATE].environment.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join([*map(str, overlay), stock])} if overlay else {}


def _copied_packages(project: Project, image: str, airflow: Path, target: Path) -> Path:
    """A directory with the `airflow` packages of an image, made once. Raises EngineError."""
    if target.is_dir():
        return target
    pattern = project.services[MIGRATE]
    scratch = target.with_name(f".{target.name}")
    shutil.rmtree(scratch, ignore_errors=True)  # of a copy that was interrupted
    scratch.mkdir(parents=True)
    container = pattern.create(project.client, project.run_id, image, {}, name=f"{pattern.container_name}-copy")
    try:
        chunks, _ = container.get_archive(str(airflow))
        with tempfile.TemporaryFile(dir=scratch.parent) as file:
            for chunk in chunks:
                file.write(chunk)
            file.seek(0)
            with tarfile.open(fileobj=file) as packed:
                packed.extractall(scratch)  # noqa: S202 - of an image whose code the run executes
    except APIError as error:
        raise explain(error, f"copying Airflow's packages out of {image}") from error
    finally:
        remove(container)
    scratch.rename(target)
    return target


def _visible(directories: Sequence[Path], parts: Sequence[Part]) -> tuple[Path, ...]:
    """The directories, or copies of their `airflow` packages where the components can see them.

    A copy keeps the layout of its checkout: the task-sdk finds files of the core by it.
    """
    copies = {part.path: _copy_of(part.path) for part in parts if part.kind == "checkout" and not part.revision}
    for copy in copies.values():
        shutil.rmtree(copy, ignore_errors=True)  # of an earlier run: the checkout may have changed
    made = []
    for directory in directories:
        root = next((path for path in copies if directory.is_relative_to(path)), None)
        target = directory if root is None else copies[root] / directory.relative_to(root)
        if root is not None:
            # Links lead out of the package, to the shared parts: their targets are copied.
            shutil.copytree(directory / "airflow", target / "airflow", ignore=_LEFT_OUT)
        made.append(target)
    return tuple(made)


def _copy_of(checkout: Path) -> Path:
    return cache_directory() / "copies" / str(checkout).strip("/").replace("/", "-")
