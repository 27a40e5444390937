"""Mount fixes in this process, as in one that has imported Airflow already, and take them away again."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from airflow_stress_fixes import catalogue, mount


@contextmanager
def mounted_fixes(*names: str) -> Iterator[dict[str, str]]:
    """Mount for the time of a block; gives each fix's last reported status."""
    fixes = catalogue.resolve(names)
    modules = [importlib.import_module(name) for fix in fixes for name in (fix.module, *fix.also)]
    stock = [(owner, name, value) for module in modules for owner, name, value in _definitions(module)]
    with tempfile.TemporaryDirectory() as directory:
        os.environ[mount.REPORT_VARIABLE] = directory
        try:
            mount.install(fixes)
            yield {line["fix"]: line["status"] for line in read_report(Path(directory))}
        finally:
            del os.environ[mount.REPORT_VARIABLE]
            for owner, name, value in stock:
                if vars(owner).get(name) is not value:
                    setattr(owner, name, value)


def _definitions(module: ModuleType) -> Iterator[tuple[Any, str, Any]]:
    """What a fix may replace: the module's globals, and what is in its classes."""
    classes = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]
    for owner in (module, *classes):
        for name, value in list(vars(owner).items()):
            if not name.startswith("__"):
                yield owner, name, value


def read_report(directory: Path) -> list[dict[str, Any]]:
    """All lines of all processes, in order of time."""
    lines = [json.loads(line) for file in directory.glob("*.jsonl") for line in file.read_text().splitlines()]
    return sorted(lines, key=lambda line: float(line["t"]))
