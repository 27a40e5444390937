"""Which Airflow releases there are, and the exact set of packages that each one is run with.

A release is run with its dependencies as they were on the day it came out: an unpinned install of an older one breaks
(3.2.1 fails at import with a later pydantic). That set is a *lock*: a requirements file with the hash of every file.

    known and locked    `requirements/airflow-X.Y.Z.txt`, committed: the releases whose results we publish
    known               its day is in `requirements/releases.toml`; resolved on first use and kept in the cache
    unknown             the configured package index is asked for its day, within 2 s; then as above

`check` answers the user's question "can I have X.Y.Z?" before anything is started or written. `locked` does the slow
part, once. A lock names no index: the hashes decide what is installed, wherever it comes from.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path

from stress.arms import index
from stress.arms.errors import EnvironmentFailed, UnknownRelease
from stress.arms.uvtool import run_uv
from stress.cache import cache_directory, write_atomically
from stress.layout import REQUIREMENTS

DEFAULT_RELEASE = "3.2.1"
"""The release that has all three of the races that this project began with."""

OLDEST = (3, 1, 0)
LOWEST_PYTHON = "3.11"
DRIVERS = ("asyncpg", "psycopg2-binary")
"""Airflow's two PostgreSQL drivers, the only additions to what the release itself requires."""

_FINAL = re.compile(r"(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})")
_RESOLVE_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Release:
    """A final release of Airflow that exists."""

    version: str
    day: date
    committed_lock: Path | None

    @property
    def number(self) -> tuple[int, int, int]:
        """The version, comparable."""
        return parse_version(self.version)

    @property
    def resolved_as_of(self) -> str:
        """The moment up to which a dependency may have been published: the end of the release's own day (UTC)."""
        return f"{self.day + timedelta(days=1):%Y-%m-%d}T00:00:00Z"


@dataclass(frozen=True)
class Lock:
    """The packages of a release, with hashes."""

    release: Release
    path: Path
    digest: str


def requirements_directory() -> Path:
    """Where the committed locks are."""
    return REQUIREMENTS


def parse_version(version: str) -> tuple[int, int, int]:
    """Read `X.Y.Z`; anything else is not the name of a final release."""
    match = _FINAL.fullmatch(version)
    if match is None:
        raise UnknownRelease(
            f"{version!r} is not a final release of Airflow: give X.Y.Z, for example {DEFAULT_RELEASE} "
            "(a release candidate can be tested as a wheel: NAME=PATH)"
        )
    return int(match[1]), int(match[2]), int(match[3])


@cache
def known_releases() -> tuple[Release, ...]:
    """The releases of the committed table, the oldest first."""
    directory = requirements_directory()
    table = tomllib.loads((directory / "releases.toml").read_text(encoding="utf-8"))["releases"]
    releases = []
    for version, day in table.items():
        lock = directory / f"airflow-{version}.txt"
        releases.append(Release(version, day, lock if lock.is_file() else None))
    return tuple(sorted(releases, key=lambda release: release.number))


def check(version: str, timeout_s: float = 2.0) -> Release:
    """The release of that version, or `UnknownRelease` with a sentence for the user. Writes nothing, starts nothing."""
    number = parse_version(version)
    oldest = ".".join(map(str, OLDEST))
    if number < OLDEST:
        raise UnknownRelease(f"Airflow {version} is too old: {oldest} is the oldest release that can be tested")
    known = known_releases()
    for release in known:
        if release.version == version:
            return release
    newest = known[-1].version
    try:
        published = index.published_releases(timeout_s)
    except index.IndexUnreachable as error:
        raise UnknownRelease(
            f"Airflow {version} is not one of the known releases ({oldest} to {newest}), and {error}; "
            "choose a known release, or try again when the index can be reached"
        ) from error
    for found in published:
        if found.version == version and found.day is not None:
            return Release(version, found.day, None)
        if found.version == version:
            raise UnknownRelease(
                f"Airflow {version} exists, but the package index does not say when it was published; "
                "add its day to requirements/releases.toml"
            )
    siblings = sorted(
        (found.version for found in published if _FINAL.fullmatch(found.version)),
        key=parse_version,
    )
    near = [sibling for sibling in siblings if parse_version(sibling)[:2] == number[:2]]
    there = (
        f"of {number[0]}.{number[1]} there are {', '.join(near)}"
        if near
        else f"the newest is {siblings[-1] if siblings else newest}"
    )
    raise UnknownRelease(f"there is no Airflow {version}: {there}")


def base_release(version: str) -> Release:
    """The known release whose environment a checkout of `version` (`3.3.0.dev0`, say) is laid over.

    Its own, if that is out already; else the newest one before it, whose dependencies are the closest.
    """
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if match is None:
        raise UnknownRelease(f"{version!r} is not a version of Airflow")
    number = int(match[1]), int(match[2]), int(match[3])
    fitting = [release for release in known_releases() if release.number <= number]
    if not fitting:
        raise UnknownRelease(f"Airflow {version} is too old: {'.'.join(map(str, OLDEST))} is the oldest")
    return fitting[-1]


def locked(release: Release, progress: Callable[[str], None]) -> Lock:
    """The release's lock, resolved and cached if there is none yet."""
    path = release.committed_lock
    if path is None:
        path = cache_directory() / "locks" / f"airflow-{release.version}-{release.day:%Y%m%d}.txt"
        if not path.is_file():
            progress(f"resolving Airflow {release.version} as of {release.day:%Y-%m-%d}")
            write_atomically(path, resolve(release))
    content = path.read_bytes()
    return Lock(release, path, hashlib.sha256(content).hexdigest()[:12])


def resolve(release: Release) -> str:
    """The text of a new lock, as of the release's own day, for every Python from 3.11 on, without index addresses."""
    wanted = "\n".join((f"apache-airflow=={release.version}", *DRIVERS, ""))
    options = (
        f"--quiet --universal --python-version {LOWEST_PYTHON} --generate-hashes --no-emit-index-url "
        f"--no-emit-find-links --no-header --no-annotate --exclude-newer {release.resolved_as_of}"
    )
    try:
        text = run_uv(["pip", "compile", *options.split(), "-"], timeout_s=_RESOLVE_TIMEOUT_S, stdin=wanted)
    except (EnvironmentFailed, subprocess.SubprocessError) as error:
        raise EnvironmentFailed(f"Airflow {release.version} could not be resolved: {error}") from error
    if "--hash=sha256:" not in text:
        raise EnvironmentFailed(
            f"the lock of Airflow {release.version} has no hashes: the package index gives none; use another index"
        )
    return text
