"""The directory that a command writes its results to: a new one, or an empty one."""

from __future__ import annotations

import os
from pathlib import Path


def output_directory(out: str | None, default: Path, mistakes: list[str]) -> Path:
    """The absolute path of `--out`, or the default; nothing is made. One that cannot be used is a mistake."""
    path = Path(out if out is not None else default).absolute()
    option = f"--out {out!r}" if out is not None else f"the directory for the run, {path}"
    if out == "":
        mistakes.append("--out '': name a directory")
        return path
    try:
        path = path if out is None else Path(out).expanduser().absolute()
        mistakes.extend(_unusable(path, option))
    except (OSError, RuntimeError) as error:  # no such user, a name too long, a directory without permission
        mistakes.append(f"{option} can't be used: {getattr(error, 'strerror', None) or error}")
    return path


def _unusable(path: Path, option: str) -> list[str]:
    if path.exists():
        if not path.is_dir():
            return [f"{option} is not a directory"]
        if any(path.iterdir()):
            return [f"{option} is not empty: name a new directory, a run is never written over another"]
        if not os.access(path, os.W_OK | os.X_OK):
            return [f"{option} can't be written to: choose another directory with --out"]
        return []
    parent = path.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK) or _is_virtual(parent):
        return [f"{option} can't be made, because {parent} can't be written to: choose another with --out"]
    return []


def _is_virtual(path: Path) -> bool:
    """Whether the path is in a file system of the kernel, which root may "write" to by its permissions alone."""
    return any(part in (Path("/proc"), Path("/sys")) for part in (path, *path.parents))
