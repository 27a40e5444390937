"""Calls git on a user's checkout, and never changes it: no index is refreshed, no hook runs, nothing is registered."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_TIMEOUT_S = 120


class GitFailed(Exception):  # noqa: N818 - it says what happened
    """git is missing, or ended with an error. The message is git's last line."""


def git(directory: Path, *arguments: str, variables: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
    """What git prints. Raises GitFailed."""
    program = shutil.which("git")
    if program is None:
        raise GitFailed("git is not installed: install it, and try again")
    try:
        done = subprocess.run(
            [
                program,
                "-c",
                f"safe.directory={directory}",
                "-c",
                "core.hooksPath=/dev/null",
                "-C",
                str(directory),
                *arguments,
            ],
            input=stdin,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=_TIMEOUT_S,
            check=False,
            env={
                **os.environ,
                "GIT_OPTIONAL_LOCKS": "0",
                "GIT_TERMINAL_PROMPT": "0",
                "LC_ALL": "C",
                **(variables or {}),
            },
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitFailed(f"git {arguments[0]} did not end: {error}") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise GitFailed("; ".join(lines[-3:]) or f"git {arguments[0]} ended with exit code {done.returncode}")
    return done.stdout
