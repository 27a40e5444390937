"""The directory that the compose file belongs into.

docker-compose.yml builds the image of the harness from its directory, and mounts `dags/`, `fixes/` and parts of
`stress/` from there. A checkout is such a directory. An installed wheel is not: its package stands beside other
packages. A copy of what the compose file names is then made in the cache, once for each content.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from stress import __version__
from stress.cache import cache_directory, exclusive
from stress.layout import BUNDLE, PACKAGE, ROOT

_DIGEST_CHARACTERS = 12
_TIMEOUT_S = 60.0
_LEFT_OUT = shutil.ignore_patterns("__pycache__", BUNDLE.name)


def project_tree() -> Path:
    """The project directory for `docker compose`."""
    return ROOT if ROOT != BUNDLE else copied(PACKAGE, BUNDLE, cache_directory() / "projects")


def copied(package: Path, bundle: Path, cache: Path) -> Path:
    """The copy of an installed package and of what is bundled with it, made now if there is none."""
    directory = cache / f"{__version__}-{_digest(package)}"
    if not directory.is_dir():
        with exclusive(cache / ".lock", "copy the project", _TIMEOUT_S, lambda _: None):
            if not directory.is_dir():
                scratch = cache / f".{directory.name}"
                shutil.rmtree(scratch, ignore_errors=True)  # of a copy that was interrupted
                shutil.copytree(bundle, scratch, ignore=_LEFT_OUT)
                shutil.copytree(package, scratch / package.name, ignore=_LEFT_OUT)
                for path in scratch.rglob("*"):
                    # The containers read it as another user.
                    path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
                scratch.rename(directory)
    return directory


def _digest(package: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(package):
        digest.update(f"{path.relative_to(package)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:_DIGEST_CHARACTERS]


def _files(package: Path) -> Iterator[Path]:
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path
