"""The product as a user installs it: the wheel, in an environment of its own, in a directory without the checkout.

The last test is a whole run, stock against fixed, until it is decided.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stress.arms.environments import environment_for
from stress.arms.releases import DEFAULT_RELEASE, check
from stress.arms.uvtool import run_uv
from stress.layout import ROOT

LOCK = ROOT / "requirements" / "harness.txt"
REPRO_WITHIN_S = 60.0
"""Of a race on purpose, where the environment of the release is there."""
RUN_BUDGET = "14m"
LEAST_BLOCKS = 4
"""Blocks of stock that show each race: the first look has 5 + 4 or 4 + 5 blocks."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    directory = tmp_path_factory.mktemp("dist")
    build = ["build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(directory)]
    run_uv([*build, str(ROOT)], timeout_s=120)
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that has the wheel and what it depends on, at the locked versions."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    run_uv(["venv", "--python", sys.executable, str(environment)], timeout_s=60)
    python = environment / "bin" / "python"
    install = ["pip", "install", "--python", str(python), "--constraint", str(LOCK), "--compile-bytecode"]
    run_uv([*install, str(wheel)], timeout_s=300)
    return python.parent


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory that has nothing of the project, and in which nothing is made but runs."""
    directory = tmp_path / "elsewhere"
    directory.mkdir()
    yield directory
    assert {path.name for path in directory.iterdir()} <= {"runs"}


@pytest.fixture
def call(programs: Path, elsewhere: Path) -> Run:
    """Calls a program of the environment there, to its end."""

    def call(name: str, *arguments: str, timeout_s: float = 60, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return subprocess.run(
            [str(programs / name), *arguments],
            cwd=elsewhere,
            env={**kept, **variables},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return call


@pytest.mark.parametrize("program", ["stress", "airflow-stress"])
def test_both_commands_find_fixes_releases_and_reproducers(call: Run, program: str) -> None:
    for what, known in (("fixes", "deadline_claim"), ("releases", DEFAULT_RELEASE), ("reproducers", "deadlock")):
        done = call(program, "list", what)
        assert done.returncode == 0, done.stderr
        assert known in done.stdout


def test_the_checkout_is_not_used(call: Run, programs: Path) -> None:
    done = call("python", "-c", "from stress import layout; print(layout.ROOT, layout.PACKAGE)")
    assert done.returncode == 0, done.stderr
    assert [path for path in done.stdout.split() if not Path(path).is_relative_to(programs.parent)] == []


def test_the_compose_file_finds_what_it_names(call: Run, tmp_path: Path) -> None:
    program = "from stress.cluster.compose.tree import project_tree; print(project_tree())"
    places = [call("python", "-c", program, AIRFLOW_STRESS_CACHE=str(tmp_path)).stdout.strip() for _ in range(2)]
    tree = Path(places[0])
    assert places == [str(tree)] * 2
    assert tree.is_relative_to(tmp_path)
    mounted = set(re.findall(r"^ *- \./([\w/-]+):", (tree / "docker-compose.yml").read_text(), re.MULTILINE))
    assert {"dags", "fixes", "stress/mounted", "dashboards/prometheus"} <= mounted
    copied = set(re.findall(r"^COPY ([\w/.-]+) ", (tree / "Dockerfile").read_text(), re.MULTILINE))
    assert [name for name in {*mounted, *copied, ".dockerignore", "stress/cli.py"} if not (tree / name).exists()] == []
    assert [path for path in tree.rglob("*") if not path.stat().st_mode & 0o004] == []


def test_a_race_is_made_to_happen_within_a_minute(call: Run) -> None:
    environment_for(check(DEFAULT_RELEASE))
    done = call("stress", "repro", "deadlock", "--times", "1", timeout_s=REPRO_WITHIN_S)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == f"deadlock on {DEFAULT_RELEASE}, stock: 1 of 1"


def test_uvx_runs_it(wheel: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(elsewhere)
    tool = ["tool", "run", "--python", sys.executable, "--constraints", str(LOCK), "--from", str(wheel)]
    assert "out_of_order_frame" in run_uv([*tool, "stress", "list", "races"], timeout_s=120)


@pytest.mark.timeout(1200)
def test_a_run_shows_all_three_races_and_that_the_fixes_remove_them(call: Run, elsewhere: Path) -> None:
    """Every bar of a run that a short run can show."""
    done = call("stress", "run", "--no-tui", "--budget", RUN_BUDGET, timeout_s=1100)
    print(done.stdout[-12000:], done.stderr[-3000:])
    assert done.returncode == 0
    results = json.loads((elsewhere / "runs" / "latest" / "results.json").read_text())
    assert set(results["races"]) == {"deadlock", "duplicate_callback", "out_of_order_frame"}
    for race, verdict in results["races"].items():
        stock, fixed = verdict["arms"]["stock"], verdict["arms"]["fixed"]
        shown = sum(block["arm"] == "stock" and block["counts"][race][0] > 0 for block in results["blocks"])
        # What the stop rule rests on: the first look needs every block of the control to show the race.
        assert (verdict["verdict"], fixed["incidents"]) == ("removed", 0), f"{race}: {verdict['reason']}"
        assert shown >= LEAST_BLOCKS, race
        assert stock["first_incident_s"] <= 60, race
