"""Makes the Python environment that a release of Airflow runs in, once, and finds it again on the next run.

    <cache>/envs/<release>-<lock's digest>-cp311/          the environment
    <cache>/envs/<release>-<lock's digest>-cp311/.complete written last: without it, the rest is debris of a run that
                                                           was killed or of a full disk, and is made again
    <cache>/envs/<release>-<lock's digest>-cp311.lock      held while it is made; two runs at once make it once

The name holds everything that its content depends on, so an environment is never updated, only made or found. Hashes
are required for every package, and bytecode is compiled at once: six processes that each compile on their first start
would cost a small machine half a minute.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stress.arms.errors import EnvironmentFailed
from stress.arms.releases import Lock, Release, locked
from stress.arms.uvtool import run_uv
from stress.cache import cache_directory, exclusive, quiet, write_atomically

NEWEST_PYTHON = (3, 13)
"""The newest Python that every supported release of Airflow declares to run on."""

_MAKE_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class AirflowEnvironment:
    """A release that can be run. `overlay` goes before everything else on PYTHONPATH: a checkout under test, if any."""

    python: Path
    airflow: Path
    site_packages: Path
    release: str
    overlay: tuple[Path, ...] = ()


def environment_for(
    release: Release,
    *,
    progress: Callable[[str], None] = quiet,
) -> AirflowEnvironment:
    """The release's environment, made now if there is none in the cache (or only half of one)."""
    lock = locked(release, progress)
    directory = cache_directory() / "envs" / f"{release.version}-{lock.digest}-{_python_tag()}"
    if not is_complete(directory):
        what = f"make the environment of Airflow {release.version}"
        with exclusive(directory.with_name(directory.name + ".lock"), what, _MAKE_TIMEOUT_S, progress) as held:
            if not is_complete(directory):
                _make(directory, lock, progress, held)
    return _describe(directory, release)


def is_complete(directory: Path) -> bool:
    """Whether the environment was finished, and the Python it was made with still exists."""
    return (directory / ".complete").is_file() and (directory / "bin" / "python").exists()


def _make(directory: Path, lock: Lock, progress: Callable[[str], None], held: int) -> None:
    release = lock.release.version
    if directory.exists():
        progress(f"removing a half-made environment of Airflow {release}")
        shutil.rmtree(directory)
    progress(f"installing Airflow {release}")
    try:
        run_uv(
            ["venv", "--no-project", "--quiet", "--python", _python(), str(directory)],
            timeout_s=_MAKE_TIMEOUT_S,
            progress=progress,
            keep_open=(held,),
        )
        target = ["--python", str(directory / "bin" / "python"), str(lock.path)]
        run_uv(
            ["pip", "sync", "--require-hashes", "--compile-bytecode", *target],
            timeout_s=_MAKE_TIMEOUT_S,
            progress=progress,
            keep_open=(held,),
        )
    except EnvironmentFailed as error:
        # The files so far cannot be used, and a full disk needs the room.
        shutil.rmtree(directory, ignore_errors=True)
        raise EnvironmentFailed(
            f"the environment of Airflow {release} could not be made in {directory} "
            f"({_free_space(directory.parent)} free there): {error}"
        ) from error
    write_atomically(directory / ".complete", json.dumps({"release": release, "lock": lock.digest}) + "\n")


def _describe(directory: Path, release: Release) -> AirflowEnvironment:
    site_packages = next((directory / "lib").glob("python3*/site-packages"), None)
    if site_packages is None:
        raise EnvironmentFailed(f"{directory} is damaged: remove it and try again")
    return AirflowEnvironment(
        python=directory / "bin" / "python",
        airflow=directory / "bin" / "airflow",
        site_packages=site_packages,
        release=release.version,
    )


def _python_tag() -> str:
    version = min(sys.version_info[:2], NEWEST_PYTHON)
    return f"cp{version[0]}{version[1]}"


def _python() -> str:
    """The Python that the environment is made with: the one under our own environment, if Airflow runs on it."""
    if sys.version_info[:2] <= NEWEST_PYTHON:
        return str(getattr(sys, "_base_executable", sys.executable))
    return ".".join(map(str, NEWEST_PYTHON))  # uv looks for one, and fetches it if there is none


def _free_space(directory: Path) -> str:
    try:
        free = os.statvfs(directory)
    except OSError:
        return "an unknown number of MB"
    return f"{free.f_bavail * free.f_frsize // 2**20} MB"
