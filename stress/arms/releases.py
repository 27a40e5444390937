"""Which Airflow releases there are, and the exact set of packages that each one is run with.

A release is final (`3.3.2`) or a pre-release (`3.4.0b2`, `3.4.0rc1`). It is run with its dependencies as they were on
the day it came out: an unpinned install of an older one breaks (3.2.1 fails at import with a later pydantic). That set
(core, task-sdk, providers and the rest) is a *lock*: a requirements file with the hash of every file. A pre-release
pins the pre-releases of core and task-sdk that belong to it; everything else is final wherever a final version fits.

    known and locked    `requirements/airflow-VERSION.txt`, committed: the releases whose results we publish
    known               its day is in `requirements/releases.toml`; resolved on first use and kept in the cache
    unknown             the configured package index is asked for its day, within 2 s; then as above

`check` answers the user's question "can I have this version?" before anything is started or written. `locked` does the
slow part, once. A lock names no index: the hashes decide what is installed, wherever it comes from.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path

from packaging.version import InvalidVersion, Version

from stress.arms import index
from stress.arms.errors import EnvironmentFailed, UnknownRelease
from stress.arms.uvtool import run_uv
from stress.cache import cache_directory, write_atomically
from stress.layout import REQUIREMENTS

DEFAULT_RELEASE = "3.2.1"
"""The release that has all three of the races that this project began with."""

OLDEST = Version("3.1.0")
LOWEST_PYTHON = "3.11"
DRIVERS = ("asyncpg", "psycopg2-binary")
"""Airflow's two PostgreSQL drivers, the only additions to what the release itself requires."""

_NUMBER = r"(?:0|[1-9]\d{0,3})"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:(?:a|b|rc){_NUMBER})?")
_RESOLVE_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Release:
    """A release of Airflow that exists, final or not."""

    version: str
    day: date
    committed_lock: Path | None
    bounds: tuple[str, ...] = ()
    """Requirements beyond its own, where the dependencies of its day break it."""

    @property
    def number(self) -> Version:
        """The version, comparable: a pre-release comes before its final release."""
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


def parse_version(version: str) -> Version:
    """Read `X.Y.Z` with or without `aN`, `bN` or `rcN`. Raises UnknownRelease for anything else."""
    if not _VERSION.fullmatch(version):
        raise UnknownRelease(
            f"{version!r} is not a version of Airflow: give a final release such as {DEFAULT_RELEASE}, "
            "or a pre-release such as 3.4.0b2 or 3.4.0rc1 (a build of your own can be tested as a wheel or a checkout: "
            "NAME=PATH)"
        )
    return Version(version)


@cache
def known_releases() -> tuple[Release, ...]:
    """The releases of the committed table, the oldest first."""
    directory = requirements_directory()
    table = tomllib.loads((directory / "releases.toml").read_text(encoding="utf-8"))
    releases = []
    for version, day in table["releases"].items():
        lock = directory / f"airflow-{version}.txt"
        bounds = tuple(table["bounds"].get(version, ()))
        releases.append(Release(version, day, lock if lock.is_file() else None, bounds))
    return tuple(sorted(releases, key=lambda release: release.number))


def check(version: str, timeout_s: float = 2.0) -> Release:
    """The release of that version, or `UnknownRelease` with a sentence for the user. Writes nothing, starts nothing."""
    number = parse_version(version)
    if number < OLDEST:
        raise UnknownRelease(f"Airflow {version} is too old: {OLDEST} is the oldest release that can be tested")
    known = known_releases()
    for release in known:
        if release.version == version:
            return release
    newest = known[-1].version
    try:
        published = index.published_releases(timeout_s)
    except index.IndexUnreachable as error:
        raise UnknownRelease(
            f"Airflow {version} is not one of the known releases ({OLDEST} to {newest}), and {error}; "
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
    siblings = sorted(Version(found.version) for found in published if _VERSION.fullmatch(found.version))
    near = [str(sibling) for sibling in siblings if sibling.release[:2] == number.release[:2]]
    there = (
        f"of {number.major}.{number.minor} there are {', '.join(near)}"
        if near
        else f"the newest is {siblings[-1] if siblings else newest}"
    )
    raise UnknownRelease(f"there is no Airflow {version}: {there}")


def between(first: str, last: str) -> tuple[Release, ...]:
    """The final releases from one to the other, both included; a pre-release only if it is an end.

    Raises UnknownRelease. Releases that are neither known nor listed by the package index are not in it.
    """
    start, end = check(first), check(last)
    if start.number >= end.number:
        raise UnknownRelease(f"{first} is not older than {last}: give the older release first")
    found = {release.version: release for release in (*known_releases(), start, end)}
    with contextlib.suppress(index.IndexUnreachable):
        for published in index.published_releases():
            if published.day is not None and _VERSION.fullmatch(published.version):
                found.setdefault(published.version, Release(published.version, published.day, None))
    return tuple(
        release
        for release in sorted(found.values(), key=lambda release: release.number)
        if start.number <= release.number <= end.number
        and (not release.number.is_prerelease or release.version in (first, last))
    )


def base_release(version: str) -> Release:
    """The known release whose environment a wheel or checkout of `version` (`3.4.0.dev0`, say) is laid over.

    Its own, if that is out already; else the newest one that is not of a later X.Y.Z, pre-releases included: their
    dependencies are the closest.
    """
    try:
        number = Version(version)
    except InvalidVersion as error:
        raise UnknownRelease(f"{version!r} is not a version of Airflow") from error
    fitting = [release for release in known_releases() if release.number.release <= number.release]
    if not fitting:
        raise UnknownRelease(f"Airflow {version} is too old: {OLDEST} is the oldest")
    return next((release for release in fitting if release.number == number), fitting[-1])


def locked(release: Release, progress: Callable[[str], None]) -> Lock:
    """The release's lock, resolved and cached if there is none yet."""
    path = release.committed_lock
    if path is None:
        bounds = f"-{hashlib.sha256(' '.join(release.bounds).encode()).hexdigest()[:8]}" if release.bounds else ""
        path = cache_directory() / "locks" / f"airflow-{release.version}-{release.day:%Y%m%d}{bounds}.txt"
        if not path.is_file():
            progress(f"resolving Airflow {release.version} as of {release.day:%Y-%m-%d}")
            write_atomically(path, resolve(release))
    content = path.read_bytes()
    return Lock(release, path, hashlib.sha256(content).hexdigest()[:12])


def resolve(release: Release) -> str:
    """The text of a new lock, as of the release's own day, for every Python from 3.11 on, without index addresses."""
    wanted = "\n".join((f"apache-airflow=={release.version}", *DRIVERS, *release.bounds, ""))
    options = (
        f"--quiet --universal --python-version {LOWEST_PYTHON} --generate-hashes --no-emit-index-url "
        f"--no-emit-find-links --no-header --no-annotate --prerelease if-necessary-or-explicit "
        f"--exclude-newer {release.resolved_as_of}"
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
