"""A wheel of one of Airflow's packages: core, task-sdk or a provider."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Sequence
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from stress.arms.errors import EnvironmentFailed
from stress.arms.overlay.part import Package, Part
from stress.cache import cache_directory, exclusive, quiet

_UNPACK_TIMEOUT_S = 60
_CONFIGURATION = Path("airflow", "config_templates")


def read_wheel(path: Path) -> Part:
    """Read a wheel's metadata. Raises ValueError with a sentence if it is not a wheel with an `airflow` package."""
    try:
        with zipfile.ZipFile(path) as wheel:
            names = wheel.namelist()
            metadata = next((name for name in names if name.endswith(".dist-info/METADATA")), None)
            if metadata is None or not any(name.startswith("airflow/") and name.endswith(".py") for name in names):
                raise ValueError(
                    f"{path} holds no airflow package: give the wheel of apache-airflow-core, "
                    "of apache-airflow-task-sdk or of a provider"
                )
            headers = HeaderParser().parsestr(wheel.read(metadata).decode("utf-8", "replace"))
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} can't be read as a wheel: {error}") from error
    return Part("wheel", path, (_package(path, headers),))


def _package(path: Path, headers: Message) -> Package:
    version = str(headers["Version"])
    try:
        Version(version)
    except InvalidVersion as error:
        raise ValueError(f"{path} names no usable version: {version!r}") from error
    # A wheel that a test or an old tool wrote may lack the name; the file's name begins with it.
    name = headers["Name"] or path.name.partition("-")[0]
    return Package(canonicalize_name(name), version, tuple(headers.get_all("Requires-Dist") or ()))


def unpack(wheels: Sequence[Path], site_packages: Path, name: str) -> Path:
    """The wheels' content as one directory in the cache, named by their digests. Raises EnvironmentFailed.

    One directory, as `pip` installs them: the task-sdk reads the core's configuration files beside its own package.
    Without the core among the wheels they are linked from the release's packages, whose environment has this `name`.
    """
    digests = "-".join(digest_of(wheel) for wheel in wheels)
    target = cache_directory() / "overlays" / f"wheels-{hashlib.sha256(digests.encode()).hexdigest()[:12]}-{name}"
    complete = target / ".complete"
    what = f"unpack {', '.join(wheel.name for wheel in wheels)}"
    with exclusive(target.with_name(target.name + ".lock"), what, _UNPACK_TIMEOUT_S, quiet):
        if not complete.is_file():
            shutil.rmtree(target, ignore_errors=True)
            for wheel in wheels:
                try:
                    with zipfile.ZipFile(wheel) as archive:
                        archive.extractall(target)
                except (OSError, zipfile.BadZipFile) as error:
                    raise EnvironmentFailed(f"{wheel} could not be unpacked into {target}: {error}") from error
            if not (target / _CONFIGURATION).exists():
                (target / _CONFIGURATION).symlink_to(site_packages / _CONFIGURATION)
            complete.touch()
    return target


def digest_of(file: Path) -> str:
    """SHA-256 of a file, 12 characters. Raises EnvironmentFailed if it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise EnvironmentFailed(f"{file} can't be read: {error}") from error
