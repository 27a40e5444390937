"""Fingerprints of the functions that a schedule runs: another source, a wrapper and a replacement are named."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from airflow_stress_explore.core.sources import SourceRecorder, differences, fingerprints

PROGRAM = """
import functools


def helper():
    return 1


def deco(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)
    return wrapper


class Runner:
    @classmethod
    def make(cls):
        return cls()

    @deco
    def run(self):
        def inner():
            return helper()
        return inner()

    @property
    def state(self):
        return "state"


def unused():
    return 2
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package with a module, imported."""
    package = tmp_path / "sourced"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "program.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("sourced.program")
    for name in ("sourced", "sourced.program"):
        sys.modules.pop(name, None)


def recorded(program: ModuleType) -> list[str]:
    recorder = SourceRecorder(["sourced"])
    work: Any = lambda: program.Runner.make().run() + len(program.Runner().state)  # noqa: E731 - called in the next line
    assert recorder.run(work) == 6
    return recorder.names


def changed(program: ModuleType, old: str, new: str) -> None:
    import linecache

    path = Path(str(program.__file__))
    path.write_text(path.read_text().replace(old, new))
    linecache.clearcache()
    importlib.invalidate_caches()
    sys.modules.pop("sourced.program")
    importlib.import_module("sourced.program")


def test_what_runs_is_noted_and_nothing_else(program: ModuleType) -> None:
    assert recorded(program) == [
        "sourced.program:Runner.make",
        "sourced.program:Runner.run",
        "sourced.program:Runner.state",
        "sourced.program:deco",
        "sourced.program:helper",
    ]


def test_the_same_source_has_no_differences(program: ModuleType) -> None:
    found = fingerprints(recorded(program))
    assert set(found) == set(recorded(program))
    assert differences(found) == []


def test_an_unused_function_may_change(program: ModuleType) -> None:
    found = fingerprints(recorded(program))
    changed(program, "return 2", "return 3")
    assert differences(found) == []


def test_another_source_is_named(program: ModuleType) -> None:
    found = fingerprints(recorded(program))
    changed(program, "return helper()", "return helper() + 1")
    assert differences(found) == ["sourced.program:Runner.run has another source"]


def test_a_function_that_is_gone_is_named(program: ModuleType) -> None:
    found = fingerprints(recorded(program))
    changed(program, "def helper", "def renamed")
    assert differences(found) == ["sourced.program:helper is missing"]


@pytest.mark.parametrize("wraps", [True, False])
def test_what_replaces_or_wraps_a_function_is_named(program: ModuleType, wraps: bool) -> None:
    found = fingerprints(recorded(program))

    def fixed() -> int:
        return 1

    program.helper = functools.wraps(program.helper)(fixed) if wraps else fixed  # type: ignore[attr-defined]
    assert differences(found) == [f"sourced.program:helper is replaced by {__name__}"]
