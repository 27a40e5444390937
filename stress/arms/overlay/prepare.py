"""Makes the directories of an overlay, and tries whether Airflow can be imported from them."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from packaging.utils import canonicalize_name

from stress.arms.environments import AirflowEnvironment
from stress.arms.errors import EnvironmentFailed
from stress.arms.overlay import checkout, diff, wheel
from stress.arms.overlay.part import Part
from stress.arms.overlay.requirements import misfits

_IMPORT_TIMEOUT_S = 120
IMPORTS = (
    "import airflow.sdk, airflow.api_fastapi.app, airflow.jobs.scheduler_job_runner, "
    "airflow.jobs.triggerer_job_runner, airflow.jobs.dag_processor_job_runner"
)


def directories(parts: Sequence[Part], environment: AirflowEnvironment) -> tuple[Path, ...]:
    """The directories of the parts, for PYTHONPATH, in the parts' order.

    Raises EnvironmentFailed with a sentence if they cannot be made, or if Airflow cannot be imported from them.
    """
    installed = frozenset(
        canonicalize_name(path.name.partition("-")[0]) for path in environment.site_packages.glob("*.dist-info")
    )
    base = environment.python.parents[1].name
    found = written(parts, installed, base, lambda: environment.site_packages)
    if parts:
        _try_import(tuple(parts), environment, found)
    return found


def written(
    parts: Sequence[Part], installed: frozenset[str], base: str, site_packages: Callable[[], Path]
) -> tuple[Path, ...]:
    """The same without the trial, above packages that this machine need not be able to run.

    `installed` has the normalised names of the base's distributions, `base` its name; `site_packages` is called only
    if the base's files are needed. Raises EnvironmentFailed.
    """
    wheels = [part.path for part in parts if part.kind == "wheel"]
    found: list[Path] = []
    for part in parts:
        if part.kind == "wheel":
            if part.path == wheels[0]:
                found.append(wheel.unpack(wheels, site_packages(), base))
        elif part.kind == "checkout":
            found += checkout.source_directories(part, installed)
        else:
            found.append(diff.apply(part, site_packages(), base))
    return tuple(found)


@cache
def _try_import(parts: tuple[Part, ...], environment: AirflowEnvironment, path: tuple[Path, ...]) -> None:
    """Import it once in a command: it takes four seconds of CPU time."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    with tempfile.TemporaryDirectory() as home:
        variables = {
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "AIRFLOW_HOME": home,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        try:
            done = subprocess.run(
                [str(environment.python), "-c", IMPORTS],
                capture_output=True,
                text=True,
                timeout=_IMPORT_TIMEOUT_S,
                check=False,
                env={**kept, **variables},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EnvironmentFailed(f"{_named(parts)} could not be imported: {error}") from error
    if done.returncode != 0:
        raise EnvironmentFailed(import_failure(parts, environment.release, done.stderr))


def import_failure(parts: Sequence[Part], release: str, stderr: str) -> str:
    """Why Airflow cannot be imported with the parts, in a sentence, from what Python printed."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    place = next((line.strip() for line in reversed(lines) if line.lstrip().startswith("File ")), "")
    return (
        f"Airflow cannot be imported with {_named(parts)} on the packages of {release}: "
        f"{lines[-1].strip() if lines else 'no output'} ({place})"
        + "".join(f"; {sentence}" for sentence in misfits(parts))
    )


def _named(parts: Sequence[Part]) -> str:
    return " and ".join(f"{part.kind} {part.path.name}" for part in parts)
