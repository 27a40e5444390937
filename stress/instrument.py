"""Which airflow-stress made a run: its version, the git commit of its checkout, and a digest of each fix.

A verdict depends on the instrument as much as on Airflow, so that every report names both. In a container there is no
checkout, so that the host passes `AIRFLOW_STRESS_COMMIT` (`stress run --runtime compose` and `.ci/nightly` do).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from stress import __version__
from stress.layout import FIXES, ROOT

COMMIT_VARIABLE = "AIRFLOW_STRESS_COMMIT"
UNKNOWN = "unknown"
DIGEST_CHARACTERS = 12
_TIMEOUT_S = 5
_PACKAGE = FIXES / "airflow_stress_fixes"


def version() -> str:
    """The version of airflow-stress."""
    return __version__


def commit() -> str:
    """The commit of this checkout, with `-dirty` after it if files differ from it; `unknown` without one."""
    return os.environ.get(COMMIT_VARIABLE) or revision(ROOT) or UNKNOWN


def revision(directory: Path) -> str | None:
    """The git commit (12 characters) of the work tree that holds a directory, `-dirty` after it if tracked files of the
    directory differ from it. None where there is no work tree, or no git.
    """
    found = _git(directory, "rev-parse", "--short=12", "HEAD")
    if found is None or _git(directory, "ls-files", "--error-unmatch", ".") is None:
        # No work tree, or one that does not hold this directory (an ignored folder in another repository).
        return None
    changed = _git(directory, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{found}-dirty" if changed != "" else found


def fix_digests(names: Iterable[str]) -> dict[str, str]:
    """SHA-256 (12 characters) of each fix: its own module, and the modules that load every fix."""
    shared = [_PACKAGE / "fix.py", _PACKAGE / "mount.py"]
    return {name: _digest([*_files_of(name), *shared]) for name in names}


def _files_of(fix: str) -> list[Path]:
    """The module of a fix, in its race's package. A fix without a module is the whole package."""
    return sorted(_PACKAGE.rglob(f"{fix}.py")) or sorted(_PACKAGE.rglob("*.py"))


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:DIGEST_CHARACTERS]


def _git(directory: Path, *arguments: str) -> str | None:
    """The output of a git command; None if it fails. The user's settings and hooks are not used."""
    try:
        done = subprocess.run(
            [shutil.which("git") or "git", "-c", f"safe.directory={directory}", "-C", str(directory), *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
