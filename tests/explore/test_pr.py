"""`stress pr` and `stress bisect` on a checkout in Airflow's layout: releases, a real repair, and another change."""

from __future__ import annotations

import json
from pathlib import Path

import airflow_repository
import pytest

from stress.arms.overlay.git import git
from stress.cli import main

RELEASES = ("3.1.8", "3.2.1", "3.3.2")
ROUTES = "airflow-core/src/airflow/api_fastapi/execution_api/routes/task_instances.py"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three releases on `main`; on the one with the deadlock, `repair` locks the task instance alone, as upstream
    does, and `other` changes a message."""
    root = tmp_path_factory.mktemp("checkout") / "airflow"
    airflow_repository.make(root, RELEASES)
    for branch, old, new in (
        ("repair", "task_instance_id, with_for_update=True)", 'task_instance_id, with_for_update={"of": TI})'),
        ("other", "Removed start_date from update as", "Left start_date as it is, because"),
    ):
        git(root, "checkout", "-q", "-b", branch, "3.2.1")
        text = (root / ROUTES).read_text()
        assert old in text
        (root / ROUTES).write_text(text.replace(old, new))
        airflow_repository.commit(root, branch)
    git(root, "checkout", "-q", "main")
    return root


def test_bisect_finds_the_release_that_brought_the_deadlock_and_the_one_that_repaired_it(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _state(repository)
    words = ["bisect", "deadlock", "3.1.8..main", "--repo", str(repository), "--times", "2", "--json"]
    assert main(words) == 0
    document = json.loads(capsys.readouterr().out)
    labels = {release: git(repository, "log", "-1", "--format=%h %s", release).strip() for release in RELEASES}
    assert document["changes"] == [
        {"before": labels["3.1.8"], "after": labels["3.2.1"], "change": "introduced"},
        {"before": labels["3.2.1"], "after": labels["3.3.2"], "change": "removed"},
    ]
    assert [point["reproducers"][0]["occurred"] for point in document["points"]] == [0, 2, 0]
    assert _state(repository) == before


def _state(repository: Path) -> tuple[str, ...]:
    return tuple(git(repository, *words) for words in (("status", "--porcelain"), ("worktree", "list"), ("show-ref",)))


@pytest.mark.parametrize(("head", "occurred", "code"), [("repair", 0, 0), ("other", 3, 1)])
def test_only_a_repair_removes_the_race(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], head: str, occurred: int, code: int
) -> None:
    words = ["--race", "deadlock", "--times", "3", "--no-load", "--out", str(tmp_path / "out"), "--json"]
    assert main(["pr", "--repo", str(repository), "--head", head, "--base", "main", *words]) == code
    (race,) = json.loads(capsys.readouterr().out)["races"]
    assert (race["base"][0]["occurred"], race["head"][0]["occurred"]) == (3, occurred)
    comment = (tmp_path / "out" / "comment.md").read_text()
    assert "- raises at `airflow.api_fastapi.execution_api.routes.task_instances:" in comment
    assert "SELECT ... FROM task_instance JOIN dag_run" in comment
    assert "UPDATE task_instance SET" in comment
