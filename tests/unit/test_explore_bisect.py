"""`stress bisect` as a user types it; what the release's process prints is given."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stress.arms import index
from stress.cli import main
from stress.explore.runner import Runner, RunnerFailed

SUMMARY = {"kind": "summary", "tried": 1, "pruned": 0, "failed": 0, "exhausted": True, "seconds": 0.1}


@pytest.fixture(autouse=True)
def empty_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package index that lists nothing: the releases are those of the committed table."""
    monkeypatch.setattr(index, "published_releases", lambda *_: ())


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say on which releases or revisions the race occurs; returns the ones that are played, in order."""

    def say(having: set[str], broken: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
        asked: list[str] = []

        def ask(self: Runner, _request: dict[str, Any], _engine: Any, **_: Any) -> Iterator[dict[str, Any]]:
            point = self.overlay[0].revision if self.overlay else self.release.version
            asked.append(point)
            if point in broken:
                raise RunnerFailed("it does not start\nbecause of a typing error")
            yield {"kind": "schedule", "n": 1, "ok": point not in having, "failures": [], "steps": []}
            yield SUMMARY

        monkeypatch.setattr(Runner, "ask", ask)
        return asked

    return say


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout of five commits, tagged v0 to v4."""
    root = tmp_path / "airflow"
    (root / "airflow-core" / "src" / "airflow").mkdir(parents=True)
    git(tmp_path, "init", "-q", str(root))
    for number in range(5):
        (root / "airflow-core" / "src" / "airflow" / "__init__.py").write_text(f'__version__ = "3.2.1"\n# {number}\n')
        git(root, "add", ".")
        git(root, "commit", "-qm", f"commit {number}")
        git(root, "tag", f"v{number}")
    return root


def test_both_ends_without_the_race_show_where_it_came_and_went(
    played: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = played({"3.2.0", "3.2.1"})
    assert main(["bisect", "deadlock", "3.1.7..3.2.2", "--times", "1"]) == 0
    assert sorted(asked) == ["3.1.7", "3.1.8", "3.2.0", "3.2.1", "3.2.2"]
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "deadlock came with 3.2.0 (the point before: 3.1.8)",
        "deadlock was removed by 3.2.2 (the point before: 3.2.1)",
    ]


def test_a_commit_of_a_checkout_is_found_by_halving(
    played: Any, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commits = [git(repository, "rev-parse", f"v{number}") for number in range(5)]
    asked = played(set(commits[:2]))
    assert main(["bisect", "deadlock", "v0..v4", "--repo", str(repository)]) == 0
    assert len(asked) <= 4
    last = capsys.readouterr().out.splitlines()[-1]
    assert "was removed by" in last
    assert "commit 2" in last


def test_a_point_that_can_not_be_played_is_named_and_skipped(played: Any, capsys: pytest.CaptureFixture[str]) -> None:
    played({"3.2.0"}, broken={"3.2.1"})
    assert main(["bisect", "deadlock", "3.2.0..3.2.2"]) == 0
    out = capsys.readouterr().out
    assert "3.2.1                     deadlock it does not start" in out
    assert "deadlock was removed by 3.2.2 or a point since 3.2.0 that could not be played" in out


@pytest.mark.parametrize(
    ("having", "broken", "sentence"),
    [
        ({"3.2.0", "3.2.1"}, set(), "no change: it occurs at every point that was played"),
        (set(), set(), "no change: it does not occur at any point that was played"),
        (set(), {"3.2.0", "3.2.1"}, "unknown: no point could be played"),
    ],
)
def test_no_change_ends_with_code_2(
    played: Any, capsys: pytest.CaptureFixture[str], having: set[str], broken: set[str], sentence: str
) -> None:
    played(having, broken)
    assert main(["bisect", "deadlock", "3.2.0..3.2.1"]) == 2
    assert sentence in capsys.readouterr().out


def test_json_has_the_points_and_the_changes(played: Any, capsys: pytest.CaptureFixture[str]) -> None:
    played({"3.2.1"})
    assert main(["bisect", "deadlock", "3.2.1..3.2.2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["changes"] == [{"before": "3.2.1", "after": "3.2.2", "change": "removed"}]
    assert [(point["point"], point["occurs"]) for point in document["points"]] == [("3.2.1", True), ("3.2.2", False)]
    assert document["points"][0]["reproducers"] == [
        {"name": "deadlock", "occurred": 1, "plays": 1, "reason": ""},
    ]


def test_all_mistakes_are_reported_at_once(played: Any, capsys: pytest.CaptureFixture[str]) -> None:
    asked = played(set())
    assert main(["bisect", "nothing", "3.2.1", "--times", "0"]) == 64
    assert len(capsys.readouterr().err.splitlines()) == 3
    assert asked == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["3.3.2..3.2.1"], "give the older release first"),
        (["3.2.1..3.2.99"], "there is no Airflow 3.2.99"),
        (["v0..v4", "--repo", "/nowhere-at-all"], "is not a directory"),
    ],
)
def test_a_span_that_is_none_is_refused(
    played: Any, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    asked = played(set())
    assert main(["bisect", "deadlock", *words]) == 64
    assert reason in capsys.readouterr().err
    assert asked == []


@pytest.mark.parametrize(("span", "reason"), [("v4..v0", "is not a descendant"), ("v0..nope", "has no revision")])
def test_revisions_that_are_no_line_are_refused(
    played: Any, repository: Path, capsys: pytest.CaptureFixture[str], span: str, reason: str
) -> None:
    played(set())
    assert main(["bisect", "deadlock", span, "--repo", str(repository)]) == 64
    assert reason in capsys.readouterr().err
