"""The diff of a fix, laid over a release's packages, removes what its reproducers show; another diff does not.

One fix for each kind of replacement: a function, a method, a class, a name that a module imports. The form of every
fix on every release: ``tests/airflow/test_fixes_as_source.py``.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path

import pytest

from stress.arms.environments import environment_for
from stress.arms.overlay.diff import installed_paths, split
from stress.arms.overlay.git import git
from stress.arms.releases import check
from stress.cli import main

TIMES = 5


@pytest.fixture(scope="module")
def diff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the diffs are written."""
    return tmp_path_factory.mktemp("diffs")


def written(directory: Path, fix: str, version: str) -> Path:
    """The diff of a fix, as the command prints it."""
    file = directory / f"{fix}-{version}.diff"
    if not file.exists():
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert main(["fixes", "diff", fix, "--airflow", version]) == 0
        file.write_text(out.getvalue(), encoding="utf-8")
    return file


def played(reproducer: str, version: str, diff: Path) -> tuple[str, int]:
    """The last line of `stress repro` on the release with the diff, and its exit code."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(["repro", reproducer, "--airflow", f"{version},diff:{diff}", "--times", str(TIMES)])
    return out.getvalue().splitlines()[-1], code


@pytest.mark.parametrize(
    ("fix", "reproducer", "version"),
    [
        ("state_update_lock_scope", "deadlock", "3.2.1"),
        ("triggerer_comms", "out_of_order_frame_cancellation", "3.1.8"),
        ("trigger_event_claim", "stale_trigger_event_marking", "3.3.2"),
        ("fail_fast_lock_order", "fail_fast_deadlock", "3.3.2"),
    ],
)
def test_the_diff_of_a_fix_removes_its_race(fix: str, reproducer: str, version: str, diff: Path) -> None:
    line, code = played(reproducer, version, written(diff, fix, version))
    assert line.startswith(f"{reproducer} on {version} (diff {fix}-{version}.diff")
    assert line.endswith(f": 0 of {TIMES}")
    assert code == 0


def test_the_diff_of_another_fix_does_not(diff: Path) -> None:
    line, code = played("deadlock", "3.2.1", written(diff, "triggerer_comms", "3.2.1"))
    assert line.endswith(f": {TIMES} of {TIMES}")
    assert code == 1


def test_git_applies_it_in_a_checkout_of_the_release(diff: Path, tmp_path: Path) -> None:
    file = written(diff, "trigger_event_claim", "3.3.2")
    packages = environment_for(check("3.3.2")).site_packages
    for changed in split(file.read_text(encoding="utf-8")):
        (installed,) = installed_paths(changed.new)
        place = tmp_path / changed.new
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(packages / installed, place)
        assert "RowsLockedError" not in place.read_text(encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "apply", str(file))
    runner = tmp_path / "airflow-core/src/airflow/jobs/triggerer_job_runner.py"
    assert "from airflow.models.trigger import RowsLockedError" in runner.read_text(encoding="utf-8")
