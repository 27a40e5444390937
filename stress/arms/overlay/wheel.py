"""A wheel of one of Airflow's packages: core, task-sdk or a provider."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from stress.arms.errors import EnvironmentFailed
from stress.arms.overlay.part import Package, Part
from stress.cache import cache_directory, exclusive, quiet

_UNPACK_TIMEOUT_S = 60


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


def unpack(wheel: Path) -> Path:
    """The wheel's content as a directory in the cache, named by its digest. Raises EnvironmentFailed."""
    target = cache_directory() / "overlays" / f"{wheel.stem}-{digest_of(wheel)}"
    complete = target / ".complete"
    with exclusive(target.with_name(target.name + ".lock"), f"unpack {wheel.name}", _UNPACK_TIMEOUT_S, quiet):
        if not complete.is_file():
            shutil.rmtree(target, ignore_errors=True)
            try:
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(target)
            except (OSError, zipfile.BadZipFile) as error:
                raise EnvironmentFailed(f"{wheel} could not be unpacked into {target}: {error}") from error
            complete.touch()
    return target


def digest_of(file: Path) -> str:
    """SHA-256 of a file, 12 characters. Raises EnvironmentFailed if it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise EnvironmentFailed(f"{file} can't be read: {error}") from error
