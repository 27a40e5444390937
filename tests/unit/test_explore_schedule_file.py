"""Schedules as files: written whole, read back, and refused when they are of something else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stress.cli import main
from stress.explore.runner import Runner
from stress.explore.schedule_file import BadScheduleFile, ScheduleFile, read

PAIR = "state_update+dag_version_refresh"
FILE = ScheduleFile(
    pair=PAIR,
    airflow="3.2.1",
    code="3.2.1",
    fixes="stock",
    schedule="A1B",
    failures=[{"invariant": "deadlock", "detail": "why"}],
    sources={"airflow.a:f": "0123", "airflow.b:C.g": "4567"},
    steps=[],
)
LINE = {
    "kind": "file", "pair": PAIR, "n": 1, "schedule": "A1B", "ok": False, "failures": FILE.failures, "steps": [],
    "sources": FILE.sources,
}  # fmt: skip
SCHEDULE = {"kind": "schedule", "n": 1, "schedule": "A1B", "ok": False, "failures": FILE.failures, "steps": []}
SUMMARY = {"kind": "summary", "tried": 1, "pruned": 0, "failed": 1, "exhausted": True, "seconds": 0.1}

Tell = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Say what the process answers; gives the requests that it gets."""

    def tell(*lines: dict[str, Any]) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = []

        def ask(self: Runner, request: dict[str, Any], *_: Any, **__: Any) -> Iterator[dict[str, Any]]:
            requests.append({**request, "release": self.release.version, "fixes": tuple(self.fixes)})
            self.statuses = dict.fromkeys(self.fixes, "loaded")
            yield from lines

        monkeypatch.setattr(Runner, "ask", ask)
        return requests

    return tell


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = FILE.write(tmp_path / "found")
    assert path == tmp_path / "found" / "state_update+dag_version_refresh-A1B.json"
    assert read(path) == FILE
    assert str(tmp_path) not in path.read_text()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "it is not JSON"),
        ("[]", "no schedule file of schema 1"),
        ('{"schema": 2}', "no schedule file of schema 1"),
        ('{"schema": 1, "pair": "a+b", "airflow": "3.2.1", "code": "3.2.1", "fixes": "stock"}', "schedule, sources"),
    ],
)
def test_what_is_no_schedule_file_is_refused_with_the_reason(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "it.json"
    path.write_text(text)
    with pytest.raises(BadScheduleFile, match=why):
        read(path)
    assert main(["explore", "--replay", str(path)]) == 64


def test_a_search_writes_the_shortest_schedule_of_each_kind(
    told: Tell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shortest = {"schedule": "A1B", "preemptions": 1, "choices": 2, "switches": 2, "plays": 0, "proved": True}
    longer = {**SCHEDULE, "schedule": "A1B6A1B", "shortest": shortest, "n": 9}
    requests = told({**SCHEDULE, "shortest": shortest}, longer, SUMMARY, LINE)
    assert main(["explore", PAIR, "--save", str(tmp_path / "found")]) == 1
    assert requests[0]["save"] is True
    assert read(tmp_path / "found" / f"{PAIR}-A1B.json") == FILE
    out = capsys.readouterr().out
    assert "schedule A1B fails (number 1)\n" in out
    assert "schedule A1B6A1B fails (number 9) (shortest: A1B)" in out
    assert "1 kinds of failure; the shortest schedule of each: A1B (1 preemptions, 2 choices)\n" in out


def test_a_file_says_what_to_play_and_where(told: Tell, tmp_path: Path) -> None:
    path = replace(FILE, airflow="3.3.2", fixes="state_update_lock_scope").write(tmp_path)
    requests = told(SCHEDULE, SUMMARY)
    main(["explore", "--replay", str(path), "--times", "3"])
    (request,) = requests
    assert (request["pairs"], request["schedule"], request["times"]) == ([PAIR], "A1B", 3)
    assert (request["release"], request["sources"]) == ("3.3.2", FILE.sources)


def test_options_go_before_those_of_the_file(told: Tell, tmp_path: Path) -> None:
    requests = told(SCHEDULE, SUMMARY)
    main(["explore", PAIR, "--replay", str(FILE.write(tmp_path)), "--airflow", "3.3.2"])
    assert (requests[0]["release"], requests[0]["fixes"]) == ("3.3.2", ())


def test_other_sources_are_refused_and_named(told: Tell, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told({"kind": "other_sources", "pair": PAIR, "differ": ["airflow.a:f has another source"]})
    assert main(["explore", "--replay", str(FILE.write(tmp_path)), "--airflow", "3.3.2"]) == 3
    err = capsys.readouterr().err
    assert "the schedule A1B is of other sources (3.2.1, stock)" in err
    assert "1 of 2 functions differ:\nstress:   airflow.a:f has another source" in err


def test_all_wrong_options_are_named_before_anything_starts(
    told: Tell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = told()
    path = FILE.write(tmp_path)
    words = ["marking+marking", "--replay", str(path), "--scheduler", "pct", "--depth", "0", "--save", str(path)]
    assert main(["explore", *words]) == 64
    err = capsys.readouterr().err
    assert f"is a schedule of {PAIR}, not of marking+marking" in err
    assert "--scheduler pct is for a search" in err
    assert "--depth '0' must be a whole number from 1 to 20" in err
    assert f"--save {path} must be a directory" in err
    assert requests == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "name a pair to search, or a file to replay"),
        ([PAIR, "--seed", "3"], "--seed is for --scheduler random and pct"),
        ([PAIR, "--scheduler", "random", "--depth", "2"], "--depth is for --scheduler pct"),
        ([PAIR, "--scheduler", "best"], "--scheduler 'best' must be one of bounded, random, pct"),
        ([PAIR, "--scheduler", "pct", "--no-pruning"], "--no-pruning is for a bounded search"),
        (["send+send", "--scheduler", "pct"], "there is no pair 'send+send'"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", *words]) == 64
    assert why in capsys.readouterr().err


def drawn(failed: int, **facts: Any) -> dict[str, Any]:
    return {
        **SUMMARY, "failed": failed, "tried": 31, "played": 40, "steps": 20, "longest": 20, "log_probability": -6.6846,
        "probability_of_all": 0.0488, **facts,
    }  # fmt: skip


@pytest.mark.parametrize(("failed", "code"), [(0, 2), (1, 1)])
def test_drawn_schedules_end_with_their_number_and_the_bound(
    told: Tell, failed: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = told(*([SCHEDULE] if failed else []), drawn(failed))
    words = ["--scheduler", "pct", "--schedules", "40", "--seed", "7"]
    assert main(["explore", PAIR, *words]) == code
    asked = {name: requests[0][name] for name in ("scheduler", "schedules", "seed", "depth")}
    assert asked == {"scheduler": "pct", "schedules": 40, "seed": 7, "depth": 3}
    out = capsys.readouterr().out
    assert f"40 schedules drawn (pct, seed 7), 31 of them different, {failed} fail; a failure of depth 3" in out
    assert "at least 0.00125 in each, 0.0488 in all (up to 20 steps)" in out


def test_a_probability_of_next_to_nothing_is_no_zero(told: Tell, capsys: pytest.CaptureFixture[str]) -> None:
    told(drawn(0, log_probability=-2302.585, probability_of_all=0.0, longest=25))
    main(["explore", PAIR, "--scheduler", "random"])
    out = capsys.readouterr().out
    assert "at least 10^-1000 in each" in out
    assert "the longest had 25 steps, so the probability is less" in out


def test_the_file_of_a_replay_has_what_json_can_hold(told: Tell, tmp_path: Path) -> None:
    told(SCHEDULE, SUMMARY, LINE)
    assert main(["explore", PAIR, "--replay", "A1B", "--save", str(tmp_path)]) == 1
    document = json.loads((tmp_path / f"{PAIR}-A1B.json").read_text())
    assert document["schema"] == 1
    assert document["made_by"].startswith("airflow-stress ")
