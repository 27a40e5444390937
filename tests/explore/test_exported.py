"""`stress repro --pytest FILE`: the test fails on stock and passes with the fix, without this project."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from stress.arms.environments import environment_for
from stress.arms.releases import check
from stress.cli import main
from stress.cluster.supervision.guard import RunGuard
from stress.explore import lab
from stress.explore.catalogue import races_named
from stress.explore.exported import VARIABLE
from stress.layout import FIXES

RELEASE = "3.2.1"
PYTEST = ("pytest", "_pytest", "iniconfig", "pluggy", "packaging", "py", "pygments")
"""pytest with what it imports; the release's own environment has none."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of a new server."""
    guard = RunGuard()
    server = lab.LabServer(guard.directory / "postgres", guard.label)
    try:
        server.start()
        yield server.sqlalchemy_url("postgres", "test").replace("postgresql+psycopg2", "postgresql")
    finally:
        server.stop()
        guard.close()


@pytest.fixture(scope="module")
def only_pytest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with pytest and nothing of this project."""
    directory = tmp_path_factory.mktemp("pytest")
    for name in PYTEST:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, directory / name)
        else:
            shutil.copy(origin, directory)
    return directory


def played(
    test: Path, database: str, paths: list[Path], fix: str = "", release: str = RELEASE
) -> subprocess.CompletedProcess[str]:
    """The test, run with a release's Python in an environment that has nothing else."""
    python = environment_for(check(release), progress=lambda _: None).python
    variables = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "HOME": str(test.parent),
        VARIABLE: database,
        "AIRFLOW_STRESS_FIXES": fix,
    }
    return subprocess.run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", test.name],
        cwd=test.parent,
        env=variables,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize(
    ("reproducer", "invariant", "fix"),
    [
        ("deadlock", "deadlock", "state_update_lock_scope"),
        ("stale_trigger_event", "illegal_transition", "trigger_event_claim"),
        ("out_of_order_frame_cancellation", "out_of_order_frame", "triggerer_comms"),
    ],
)
def test_it_fails_on_stock_and_passes_with_the_fix(
    reproducer: str, invariant: str, fix: str, database: str, only_pytest: Path, tmp_path: Path
) -> None:
    test = tmp_path / f"test_{reproducer}.py"
    assert main(["repro", reproducer, "--airflow", RELEASE, "--pytest", str(test)]) == 1
    compile(test.read_text(), str(test), "exec")
    stock = played(test, database, [only_pytest])
    assert stock.returncode == 1, stock.stdout + stock.stderr
    reproducers = [each.name for each in races_named(reproducer) if RELEASE in each.releases]
    assert f"{len(reproducers)} failed" in stock.stdout
    assert f"'invariant': '{invariant}'" in stock.stdout
    fixed = played(test, database, [FIXES, only_pytest], fix)
    assert fixed.returncode == 0, fixed.stdout + fixed.stderr
    assert f"{len(reproducers)} passed" in fixed.stdout


def test_a_play_without_the_interleaving_fails(database: str, only_pytest: Path, tmp_path: Path) -> None:
    """The fix of another race removes the deadlock that the false failure needs: that is no repair of the handler."""
    test = tmp_path / "test_false_failed.py"
    assert main(["repro", "false_failed", "--airflow", "3.4.0b2", "--pytest", str(test)]) == 1
    other = played(test, database, [FIXES, only_pytest], "asset_event_order", "3.4.0b2")
    assert other.returncode == 1, other.stdout + other.stderr
    assert "the interleaving did not happen: no statement ended with 40P01" in other.stdout
    fixed = played(test, database, [FIXES, only_pytest], "transient_error_answer", "3.4.0b2")
    assert fixed.returncode == 0, fixed.stdout + fixed.stderr


def test_a_directory_for_the_file_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repro", "deadlock", "--pytest", str(tmp_path), "--html", str(tmp_path / "none" / "x.html")]) == 64
    errors = capsys.readouterr().err
    assert f"--pytest {tmp_path} must be a file in a directory that exists" in errors
    assert "--html" in errors
