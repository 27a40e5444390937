"""`stress pr` on a checkout in Airflow's layout, made of a locked release's files: a real repair, and another one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from stress.arms.environments import environment_for
from stress.arms.overlay.git import git
from stress.arms.releases import check
from stress.cli import main

RELEASE = "3.2.1"
ROUTES = "airflow-core/src/airflow/api_fastapi/execution_api/routes/task_instances.py"


IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "A"), ("EMAIL", "a@example.org"))
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release on `main`; `repair` locks the task instance alone, as upstream does; `other` changes a message."""
    root = tmp_path_factory.mktemp("checkout") / "airflow"
    installed = environment_for(check(RELEASE), progress=print).site_packages / "airflow"
    left_out = shutil.ignore_patterns("__pycache__", "providers", "node_modules", "example_dags", "sdk")
    shutil.copytree(installed, root / "airflow-core" / "src" / "airflow", ignore=left_out)
    shutil.copytree(installed / "sdk", root / "task-sdk" / "src" / "airflow" / "sdk", ignore=left_out)
    git(root, "init", "-q", "-b", "main")
    _commit(root)
    for branch, old, new in (
        ("repair", "task_instance_id, with_for_update=True)", 'task_instance_id, with_for_update={"of": TI})'),
        ("other", "Removed start_date from update as", "Left start_date as it is, because"),
    ):
        git(root, "checkout", "-q", "-b", branch, "main")
        text = (root / ROUTES).read_text()
        assert old in text
        (root / ROUTES).write_text(text.replace(old, new))
        _commit(root)
    return root


def _commit(root: Path) -> None:
    git(root, "add", "--all", "--force")
    git(root, "-c", "commit.gpgsign=false", "commit", "-qm", "a commit", variables=IDENTITY)


@pytest.mark.parametrize(("head", "occurred", "code"), [("repair", 0, 0), ("other", 3, 1)])
def test_only_a_repair_removes_the_race(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], head: str, occurred: int, code: int
) -> None:
    words = ["--race", "deadlock", "--times", "3", "--no-load", "--out", str(tmp_path / "out"), "--json"]
    assert main(["pr", "--repo", str(repository), "--head", head, *words]) == code
    (race,) = json.loads(capsys.readouterr().out)["races"]
    assert (race["base"][0]["occurred"], race["head"][0]["occurred"]) == (3, occurred)
    comment = (tmp_path / "out" / "comment.md").read_text()
    assert "- raises at `airflow.api_fastapi.execution_api.routes.task_instances:" in comment
    assert "SELECT ... FROM task_instance JOIN dag_run" in comment
    assert "UPDATE task_instance SET" in comment
