"""Options of a soak and the machine it needs: everything is checked before anything starts."""

from __future__ import annotations

import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import stress.soak
from stress.exits import EXIT_FAILED, EXIT_USAGE
from stress.layout import ROOT
from stress.report.files import FILE_NAMES
from stress.results import RunState
from stress.soak import assess, collect
from tests.unit.soaks import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_all_mistakes_are_reported_at_once(machine: Machine) -> None:
    words = ("--duration", "10", "--seed", "4294967296", "--airflow", "3.2.1;x", "--beyond", "", "--out", "", "--seeds")
    soak = machine.soak("passes", *words)
    assert soak.code == 64
    assert all(word in soak.output for word in ("--duration", "--seed '4", "--airflow", "--beyond", "--out", "--seeds"))
    assert not machine.out.exists()
    assert soak.calls == []


@pytest.mark.parametrize("make", [Path.touch, lambda path: (path / "x").mkdir(parents=True)], ids=["file", "full"])
def test_only_a_new_directory_is_written_to(machine: Machine, make: Callable[[Path], None]) -> None:
    make(machine.out)
    soak = machine.soak("passes")
    assert soak.code == 64
    assert "is not empty: name a new directory" in soak.output


@pytest.mark.parametrize(
    "words",
    [("--finish",), ("--finish", "--out", "nowhere"), ("--finish", "--out", "nowhere", "--seed", "1")],
    ids=" ".join,
)
def test_finish_needs_a_killed_soak(machine: Machine, words: tuple[str, ...]) -> None:
    soak = machine.soak("passes", *words)
    assert soak.code == 64
    assert soak.calls == []


@pytest.mark.parametrize(
    ("play", "message"),
    [("no engine", "no Docker engine answers (Cannot connect"), ("old compose", "of version 2 or newer is needed")],
)
def test_without_docker_the_error_says_what_to_do(machine: Machine, play: str, message: str) -> None:
    soak = machine.soak(play)
    assert soak.code == 3
    assert message in soak.output
    assert message in soak.page
    assert len(soak.bad) == 1


def test_without_the_docker_command_the_error_is_the_same(machine: Machine) -> None:
    (machine.programs / "docker").unlink()
    for program in ("bash", "dirname"):
        (machine.programs / program).symlink_to(shutil.which(program) or program)
    machine.environment["PATH"] = str(machine.programs)
    soak = machine.soak("passes")
    assert soak.code == 3
    assert "no Docker engine answers (docker: No such file or directory)" in soak.output


# -- the program -----------------------------------------------------------------------------------------------------


def test_no_module_of_the_soak_needs_an_installed_package() -> None:
    names = [module.name for module in pkgutil.iter_modules(stress.soak.__path__, "stress.soak.")]
    assert "stress.soak.__main__" in names
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import {', '.join(names)}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_script_runs_this_checkout_s_soak_from_any_directory(machine: Machine) -> None:
    other = machine.directory / "stress"
    other.mkdir()
    (other / "__init__.py").write_text("raise SystemExit('another package')\n")
    soak = machine.soak("no engine")
    assert "nightly: no Docker engine answers" in soak.output


def test_what_the_soak_can_not_import_is_what_the_product_says() -> None:
    assert collect.REPORTS == FILE_NAMES
    assert set(collect.OVER) == {RunState.DONE, RunState.INTERRUPTED, RunState.FAILED}
    assert {EXIT_FAILED, EXIT_USAGE} < set(assess.STRESS_CODES)
