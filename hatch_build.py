"""Puts what a run needs beside the package into the wheel, where `stress/layout.py` looks for it.

An editable installation gets nothing: its package is the checkout's, with all of it beside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLE = "stress/project"
BUNDLED = ("dags", "fixes", "requirements", "dashboards", "docker-compose.yml", "Dockerfile", ".dockerignore")
# Locks of the project's own tools.
LEFT_OUT = ("harness.txt", "airflow-tests.txt", "uv.txt")


class BundleHook(BuildHookInterface):  # type: ignore[type-arg] # what it is given differs between versions of hatchling
    """Called by hatchling before it writes a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files, one by one: compiled files are not among them."""
        if version == "editable":
            return
        root = Path(self.root)
        for name in BUNDLED:
            path = root / name
            for file in [path] if path.is_file() else sorted(path.rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts and file.name not in LEFT_OUT:
                    build_data["force_include"][str(file)] = f"{BUNDLE}/{file.relative_to(root)}"
