"""`stress matrix` and `stress rc` as a user types them; what the release's process prints is given."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from stress.arms import index
from stress.arms.errors import EnvironmentFailed
from stress.arms.index import Published
from stress.arms.releases import Release
from stress.cli import main
from stress.explore.catalogue import Engine
from stress.explore.runner import Runner, RunnerFailed
from stress.matrix import fill as fill_module
from stress.matrix.play import ENOUGH

Having = dict[str, set[str]]
"""Reproducers by the releases on which they occur."""


@pytest.fixture(autouse=True)
def empty_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package index that lists nothing: the releases are those of the committed table."""
    monkeypatch.setattr(index, "published_releases", lambda *_: ())


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say where reproducers occur, are unknown or crash; returns what is played, as `release reproducer`, in order."""

    def say(having: Having, unknown: Having | None = None, crash: Having | None = None, missed: str = "") -> list[str]:
        steps = [{"actor": "A", "operation": "one", "what": "COMMIT", "outcome": "done"}]
        asked: list[str] = []

        def ask(self: Runner, request: dict[str, Any], _engine: Engine, **_: Any) -> Iterator[dict[str, Any]]:
            version = self.release.version
            yield {"kind": "ready"}
            for name in request["reproducers"]:
                asked.append(f"{version} {name}")
                if version in (crash or {}).get(name, ()):
                    raise RunnerFailed("the process ended\nwith a trace")
                if version in (unknown or {}).get(name, ()):
                    yield {"kind": "unknown_operation", "operation": "clearing", "why": "no module airflow.new"}
                    continue
                ok = version not in having.get(name, ())
                for number in range(1, (request["times"] if ok else request["enough"]) + 1):
                    failures = [] if ok else [{"invariant": "deadlock", "detail": "40P01"}]
                    line = {"kind": "schedule", "n": number, "ok": ok, "failures": failures, "steps": steps}
                    yield {**line, "missed": "" if failures else missed}
                yield {"kind": "summary", "tried": 1, "failed": 0, "seconds": 0.1}

        monkeypatch.setattr(Runner, "ask", ask)
        return asked

    return say


def matrix(out: Path, *words: str, airflow: str = "3.2.1,3.2.2") -> int:
    return main(["matrix", "--airflow", airflow, "--out", str(out), *words])


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_a_matrix_has_a_cell_for_each_race_and_release(
    played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played({"deadlock": {"3.2.1"}})
    assert matrix(tmp_path / "m", "--race", "deadlock") == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "race      3.2.1   3.2.2",
        f"deadlock  {ENOUGH} of {ENOUGH}  0 of 20 (< 14 %)",
    ]
    assert files(tmp_path / "m") == [
        ".lock",
        "cells/3.2.1/deadlock.json",
        "cells/3.2.1/deadlock.txt",
        "cells/3.2.2/deadlock.json",
        "cells/3.2.2/deadlock.txt",
        "matrix.json",
        "parameters.json",
    ]


def test_json_has_each_cell_with_its_listing(played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    played({"deadlock": {"3.2.1"}})
    assert matrix(tmp_path, "--race", "deadlock", "--times", "5", "--json") == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [(cell["release"], cell["state"]) for cell in cells] == [("3.2.1", "seen"), ("3.2.2", "not seen")]
    assert cells[1]["reproducers"]["deadlock"]["of"] == 5
    assert "deadlock on 3.2.1, stock: 3 of 3" in (tmp_path / cells[0]["reproducers"]["deadlock"]["link"]).read_text()


def test_a_repeated_command_plays_only_what_is_missing(played: Any, tmp_path: Path) -> None:
    played({})
    assert matrix(tmp_path, "--race", "deadlock", "--race", "asset_deadlock") == 0
    (tmp_path / "cells/3.2.2/deadlock.json").unlink()
    asked = played({})
    assert matrix(tmp_path, "--race", "deadlock", "--race", "asset_deadlock") == 0
    assert asked == ["3.2.2 deadlock"]


def test_a_killed_command_has_stored_every_cell_before_the_one_under_way(
    played: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fill_module._keep
    kept: list[str] = []

    def keep(store: Any, release: Any, race: str, played: Any) -> Any:
        if kept:
            raise KeyboardInterrupt
        kept.append(race)
        return whole(store, release, race, played)

    played({})
    monkeypatch.setattr(fill_module, "_keep", keep)
    words = ("--race", "deadlock", "--race", "asset_deadlock")
    assert matrix(tmp_path, *words, airflow="3.2.1") == 130
    monkeypatch.setattr(fill_module, "_keep", whole)
    asked = played({})
    assert matrix(tmp_path, *words, airflow="3.2.1") == 0
    assert asked == ["3.2.1 asset_deadlock"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--times", "5"], "times 20 there, 5 here"),
        (["--race", "asset_deadlock"], "races deadlock there, deadlock, asset_deadlock here"),
    ],
)
def test_a_directory_of_other_parameters_is_refused(
    played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    asked = played({})
    assert matrix(tmp_path, "--race", "deadlock") == 0
    asked.clear()
    assert matrix(tmp_path, "--race", "deadlock", *words) == 64
    assert why in capsys.readouterr().err
    assert asked == []


def test_a_directory_with_other_files_is_refused(
    played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played({})
    (tmp_path / "notes").write_text("mine")
    assert matrix(tmp_path) == 64
    assert "holds no results of this command" in capsys.readouterr().err


def test_an_unknown_operation_is_a_cell_with_its_reason_and_code_2(
    played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played({}, unknown={"deadlock": {"3.2.2"}})
    assert matrix(tmp_path, "--race", "deadlock") == 2
    out = capsys.readouterr().out
    assert "deadlock  0 of 20 (< 14 %)  not exercised" in out
    assert "deadlock on 3.2.2: not exercised: the operation clearing does not support Airflow 3.2.2" in out


def test_a_crash_fails_one_reproducer_and_is_played_again_by_the_next_command(
    played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--race", "deadlock", "--race", "asset_deadlock")
    asked = played({}, crash={"deadlock": {"3.2.1"}})
    assert matrix(tmp_path, *words, airflow="3.2.1") == 2
    assert asked == ["3.2.1 deadlock", "3.2.1 asset_deadlock"]
    assert "deadlock on 3.2.1: failed: the process ended" in capsys.readouterr().out
    asked = played({})
    assert matrix(tmp_path, *words, airflow="3.2.1") == 0
    assert asked == ["3.2.1 deadlock"]


def test_plays_that_lack_what_sets_the_race_off_say_nothing_of_it(
    played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played({"false_failed": {"3.2.1"}}, missed="no statement ended with 40P01")
    assert matrix(tmp_path / "a", "--race", "false_failed") == 2
    out = capsys.readouterr().out
    assert "false_failed  3 of 3  not exercised" in out
    assert "the interleaving did not happen: no statement ended with 40P01" in out
    played({})
    assert matrix(tmp_path / "b", "--race", "false_failed") == 0


def test_a_race_of_a_later_release_is_not_there_and_is_new_in_that_one(
    played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = ("deadlock", "overwrite", "purge", "runs")
    names = [f"archived_attempt_{part}" for part in parts]
    asked = played({name: {"3.4.0b2"} for name in names})
    assert matrix(tmp_path / "a", "--race", "archived_attempt", airflow="3.2.1") == 0
    assert asked == []
    assert "archived_attempt_purge" in (out := capsys.readouterr().out)
    assert "not there" in out
    words = ("rc", "3.4.0b2", "--against", "3.2.1", "--no-load", "--race", "archived_attempt", "--json")
    assert main([*words, "--out", str(tmp_path / "b")]) == 1
    assert asked == [f"3.4.0b2 {name}" for name in names]
    assert '"status": "new"' in capsys.readouterr().out


def test_all_mistakes_of_a_matrix_are_reported_at_once(
    played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = played({})
    (tmp_path / "m").write_text("a file")
    assert matrix(tmp_path / "m", "--race", "nothing", "--times", "0", airflow="3.2.1,3.2.99,2.9.0") == 64
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 5
    assert any("is not a directory" in line for line in errors)
    assert any("there is no Airflow 3.2.99" in line for line in errors)
    assert asked == []


def test_a_release_that_does_not_resolve_is_one_error_before_anything_starts(
    played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(release: Release, _progress: object) -> None:
        raise EnvironmentFailed(f"Airflow {release.version} could not be resolved: no network")

    monkeypatch.setattr("stress.matrix.asked.locked", fail)
    asked = played({})
    assert matrix(tmp_path / "m", airflow="3.2.2") == 3
    assert capsys.readouterr().err == "stress: Airflow 3.2.2 could not be resolved: no network\n"
    assert asked == []
    assert not (tmp_path / "m").exists()


def rc(out: Path, *words: str, version: str = "3.2.2") -> int:
    return main(["rc", version, "--no-load", "--out", str(out), *words])


def statuses(out: Path) -> dict[str, str]:
    return {row["race"]: row["status"] for row in json.loads((out / "rc.json").read_text())["rows"]}


def test_rc_is_against_the_final_release_before_it(
    played: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = (Published("3.3.3rc1", date(2026, 10, 1)), Published("3.3.3", date(2026, 10, 5)))
    monkeypatch.setattr(index, "published_releases", lambda *_: listed)
    monkeypatch.setattr("stress.matrix.asked.locked", lambda *_: None)
    asked = played({})
    assert rc(tmp_path, "--race", "deadlock", version="3.4.0b2") == 0
    assert asked == ["3.3.3 deadlock", "3.4.0b2 deadlock"]


def test_rc_says_of_each_race_what_became_of_it(
    played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = {"3.2.1", "3.2.2"}
    played(
        {
            "deadlock": {"3.2.1"},
            "asset_deadlock": both,
            "false_failed": {"3.2.2"},
            "fail_fast_overwrite": {"3.2.1"},
            "lost_clear_ended_run": {"3.2.2"},
        },
        unknown={"fail_fast_overwrite": {"3.2.2"}, "lost_clear_ended_run": {"3.2.1"}},
    )
    assert rc(tmp_path) == 1
    found = statuses(tmp_path)
    assert found["deadlock"] == "addressed"
    assert found["asset_deadlock"] == "remains"
    assert found["false_failed"] == "new"
    assert found["fail_fast"] == "not exercised"
    assert found["lost_clear"] == "occurs"
    assert found["orphaned_runner"] == "absent"
    out = capsys.readouterr().out
    columns = [re.split(r"  +", line.strip()) for line in out.splitlines()]
    assert ["deadlock", "#66734", "3 of 3", "0 of 20 (< 14 %)", "addressed"] in columns
    assert "not asked: lost_callback: it needs faults under load" in out


def test_rc_ends_with_0_without_a_race_and_with_2_without_an_answer(played: Any, tmp_path: Path) -> None:
    played({"deadlock": {"3.2.1"}})
    assert rc(tmp_path / "a", "--race", "deadlock") == 0
    played({"deadlock": {"3.2.1"}}, unknown={"deadlock": {"3.2.2"}})
    assert rc(tmp_path / "b", "--race", "deadlock") == 2


def test_the_reports_have_the_table_and_what_happened(played: Any, tmp_path: Path) -> None:
    played({"deadlock": {"3.2.1", "3.2.2"}})
    assert rc(tmp_path, "--race", "deadlock") == 1
    markdown, page = ((tmp_path / name).read_text() for name in ("status.md", "rc.html"))
    link = "https://github.com/apache/airflow/issues/66734"
    assert f"| **deadlock** | [#66734]({link}) | 3 of 3 | 3 of 3 | **remains** |" in markdown
    assert "deadlock on 3.2.2, stock: 3 of 3" in markdown
    assert "stress rc 3.2.2 --against 3.2.1 --race deadlock --times 20 --no-load" in markdown
    assert 'href="cells/3.2.2/deadlock.txt"' in page
    assert page.count("deadlock on 3.2.1, stock: 3 of 3") == 1
    assert "<script" not in page


def test_all_mistakes_of_rc_are_reported_at_once(
    played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = played({})
    words = ["--race", "lost_callback", "--times", "x", "--against", "3.3.2"]
    assert main(["rc", "3.2.2", *words, "--budget", "1s", "--out", str(tmp_path / "m")]) == 64
    errors = capsys.readouterr().err
    assert "'lost_callback' has no reproducer" in errors
    assert "--times 'x'" in errors
    assert "--budget '1s'" in errors
    assert "--against '3.3.2' is not older than 3.2.2" in errors
    assert asked == []
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["3.1.0"], "there is no final release before 3.1.0"),
        (["3.9.9"], "there is no Airflow 3.9.9"),
        (["3.2.2", "--budget", "1s"], "--budget '1s'"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    asked = played({})
    assert main(["rc", *words, "--out", str(tmp_path / "m")]) == 64
    assert why in capsys.readouterr().err
    assert asked == []
