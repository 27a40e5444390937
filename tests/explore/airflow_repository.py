"""A checkout in the layout of Airflow's repository, made of releases' source distributions: one commit a release.

`airflow-core/src`, `task-sdk/src`, `shared/*` with the links to them in both `_shared` packages, and the project files.
The user interface and the example DAGs, half of the files, are left out. The distributions are read from the configured
package index once, compared with the digests below, and kept in the project's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

from stress.arms.index import get, index_url, page_of
from stress.arms.overlay.git import git
from stress.cache import cache_directory

_TIMEOUT_S = 120.0
_LEFT_OUT = ("/src/airflow/ui/", "/src/airflow/example_dags/")
_IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "A"), ("EMAIL", "a@example.org"))
}


@dataclass(frozen=True)
class Sources:
    """The source distributions of a release: the core's digest, and version and digest of the task-sdk that it pins."""

    core_sha256: str
    sdk: str
    sdk_sha256: str


RELEASES = {
    "3.1.8": Sources(
        "484aa133b3a8684d64e0bac4f0354938a430bd9e4a7bcc2f142b3e59fc8c2a1c",
        "1.1.8",
        "d9b6027906a0e179c7ddc550c13717663785460a539b933741f22c47d10f4930",
    ),
    "3.2.1": Sources(
        "737688a2df62b4827419161fccfb6c90e15d5eb4254c06a52014434d354931c1",
        "1.2.1",
        "ac9400cb477473a9d9eb6a5b50d2979fd1b0b50f96c6d29b4d0e924defc6179c",
    ),
    "3.3.2": Sources(
        "53f38e7749a2689a1d67c6e661284ecddaa687c1f7f3cae2d76b2eca7758210f",
        "1.3.2",
        "d9a1c7785684a215df3927b028a44b2b6927dacebd54c0d281b5906febc3efef",
    ),
}


def make(root: Path, releases: Sequence[str]) -> None:
    """A repository with the releases on `main`, the first one first, each with a tag of its version."""
    root.mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    for release in releases:
        for folder in ("airflow-core", "task-sdk", "shared"):
            shutil.rmtree(root / folder, ignore_errors=True)
        sources = RELEASES[release]
        _unpack(_kept("apache_airflow_core", release, sources.core_sha256), root / "airflow-core")
        _unpack(_kept("apache_airflow_task_sdk", sources.sdk, sources.sdk_sha256), root / "task-sdk")
        for package in ("airflow-core/src/airflow/_shared", "task-sdk/src/airflow/sdk/_shared"):
            _share(root, root / package)
        commit(root, release)
        git(root, "tag", release)


def commit(root: Path, message: str) -> None:
    """Commit the whole work tree."""
    git(root, "add", "--all", "--force")
    git(root, "-c", "commit.gpgsign=false", "commit", "-qm", message, variables=_IDENTITY)


def _kept(name: str, version: str, sha256: str) -> Path:
    """A source distribution in the cache."""
    file = f"{name}-{version}.tar.gz"
    kept = cache_directory() / "sdists" / file
    if not kept.is_file():
        page = page_of(name.replace("_", "-"), index_url())
        listed = json.loads(get(page, _TIMEOUT_S, "application/vnd.pypi.simple.v1+json")[0])["files"]
        address = next(each["url"] for each in listed if each["filename"] == file)
        content, _ = get(urljoin(page, address), _TIMEOUT_S, "*/*")
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f".{file}.{os.getpid()}.partial")
        partial.write_bytes(content)
        partial.replace(kept)
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == sha256, f"{kept} is not what was published: remove it"
    return kept


def _unpack(sdist: Path, target: Path) -> None:
    """The package and the project file, without the directory that the archive has around them."""
    top = sdist.name.removesuffix(".tar.gz")
    with tarfile.open(sdist) as archive:
        for member in archive:
            wanted = member.name == f"{top}/pyproject.toml" or member.name.startswith(f"{top}/src/airflow/")
            if wanted and not any(part in member.name for part in _LEFT_OUT):
                archive.extract(member.replace(name=member.name.removeprefix(f"{top}/")), target, filter="data")


def _share(root: Path, package: Path) -> None:
    """Put the parts of a `_shared` package where the repository has them, and links to them in their places."""
    for part in sorted(path for path in package.glob("*") if path.is_dir()):
        place = root / "shared" / part.name / "src" / "airflow_shared" / part.name
        if place.exists():
            shutil.rmtree(part)
        else:
            place.parent.mkdir(parents=True)
            part.rename(place)
        part.symlink_to(os.path.relpath(place, package))
