"""A fix as a unified diff against a release's source, with the paths of Airflow's repository.

The fixes' package writes the fix into the modules of the release (`airflow_stress_fixes.as_source`, in the release's
own environment); here the difference is taken. The result is what `diff:FILE` takes as an arm, and `git apply` in a
checkout of that release.
"""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from stress.arms import fixes
from stress.arms.environments import environment_for
from stress.arms.errors import EnvironmentFailed
from stress.arms.releases import Release
from stress.cache import quiet
from stress.layout import FIXES

_TIMEOUT_S = 300


def refusal(name: str, release: Release | None) -> str | None:
    """Why there is no diff of a fix on a release; None if there is one. Without a release, only the name is checked."""
    known = [fact.name for fact in fixes.facts()]
    if name not in known:
        return f"there is no fix {name!r}: there are {', '.join(known)}"
    if release is None:
        return None
    fit = fixes.fit(name, release.version)
    if fit == "not_needed":
        return f"fix {name} is not needed on Airflow {release.version}: the defect is not there, so there is no diff"
    if fit != "applies":
        return (
            f"fix {name} does not know Airflow {release.version}, so there is no diff: choose a release of "
            "`stress fixes list`, or add its fingerprints (fixes/README.md)"
        )
    return None


def diff_of(name: str, release: Release, progress: Callable[[str], None] = quiet) -> str:
    """The diff of a fix that applies to the release. Raises EnvironmentFailed if it cannot be made."""
    environment = environment_for(release, progress=progress)
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        written = home / "texts.json"
        command = [str(environment.python), "-m", "airflow_stress_fixes.as_source", name, str(written)]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "PYTHON"))}
        variables = {"PYTHONPATH": str(FIXES), "AIRFLOW_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
                env={**kept, **variables},
                cwd=home,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EnvironmentFailed(f"fix {name} could not be written as source: {error}") from error
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["no output"]
            raise EnvironmentFailed(f"fix {name} could not be written as source: {last[0]}")
        texts = {Path(path): text for path, text in json.loads(written.read_text(encoding="utf-8")).items()}
    header = f"Fix {name} on Airflow {release.version}: {_summary(name)}\n\n"
    return header + "".join(
        _file_diff(path.relative_to(environment.site_packages).as_posix(), path.read_text(encoding="utf-8"), text)
        for path, text in texts.items()
    )


def repository_path(installed: str) -> str:
    """Where a file of the installed packages is in Airflow's repository."""
    source = "task-sdk/src" if installed.startswith("airflow/sdk/") else "airflow-core/src"
    return f"{source}/{installed}"


def _file_diff(installed: str, old: str, new: str) -> str:
    path = repository_path(installed)
    lines = difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{path}", f"b/{path}")
    return f"diff --git a/{path} b/{path}\n{''.join(lines)}"


def _summary(name: str) -> str:
    return next(fact.summary for fact in fixes.facts() if fact.name == name)
