"""`stress repro`, `stress explore` and `stress list pairs` as a user types them; what the process tells is given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_stress_explore.airflow.comms.pairs import PAIRS as COMMS_PAIRS
from airflow_stress_explore.airflow.pairs import PAIRS as DATABASE_PAIRS
from airflow_stress_explore.sql.statement_text import shorten
from stress.cli import main
from stress.explore.catalogue import PAIRS, RACES, Engine, Race, races_named
from stress.explore.options import fix_race
from stress.explore.runner import Runner, RunnerFailed
from stress.explore.table import table

STEPS: list[dict[str, Any]] = [
    {"actor": "A", "operation": "state_update", "what": "SELECT a, b FROM task_instance WHERE x = %(x_1)s FOR UPDATE",
     "locks": ["task_instance raced/run/task_0"], "waited_for": None, "outcome": "1 rows"},
    {"actor": "B", "operation": "dag_version_refresh", "what": "UPDATE task_instance SET a=1",
     "locks": [], "waited_for": "A: task_instance raced/run/task_0", "outcome": "2 rows"},
    {"actor": "A", "operation": "state_update", "what": "COMMIT", "locks": [], "waited_for": None, "outcome": ""},
]  # fmt: skip
SUMMARY = {"kind": "summary", "tried": 3, "pruned": 1, "failed": 0, "exhausted": True, "seconds": 0.1}


def schedule(number: int, *invariants: str, missed: str = "") -> dict[str, Any]:
    failures = [{"invariant": invariant, "detail": "why"} for invariant in invariants]
    return {"kind": "schedule", "n": number, "schedule": "A4B", "ok": not failures, "failures": failures,
            "missed": missed, "steps": STEPS if number == 1 else []}  # fmt: skip


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say what the process tells; gives the requests that it was asked."""

    def tell(*lines: dict[str, Any], statuses: dict[str, str] | None = None) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = []

        def ask(self: Runner, request: dict[str, Any], engine: Engine, **_: Any) -> Iterator[dict[str, Any]]:
            requests.append({**request, "engine": engine, "release": self.release.version, "fixes": tuple(self.fixes)})
            self.statuses = dict.fromkeys(self.fixes, "loaded") if statuses is None else statuses
            yield from lines

        monkeypatch.setattr(Runner, "ask", ask)
        return requests

    return tell


def test_plays_that_missed_the_interleaving_are_reported(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told(schedule(1, missed="A did not come to INSERT"), schedule(2), SUMMARY)
    assert main(["repro", "deadlock", "--times", "2"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == "deadlock on 3.2.1, stock: 0 of 2"
    assert "the interleaving did not happen in 1 of 2 plays: A did not come to INSERT" in captured.err


def test_a_race_that_occurred_ends_with_its_count_and_code_1(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    requests = told(schedule(1, "deadlock"), schedule(2), schedule(3, "deadlock"), SUMMARY)
    assert main(["repro", "deadlock", "--times", "3"]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "deadlock on 3.2.1, stock: 2 of 3"
    assert "waits for A: task_instance raced/run/task_0" in out
    assert requests == [
        {
            "command": "repro",
            "reproducers": ["deadlock"],
            "times": 3,
            "engine": Engine.SQL,
            "release": "3.2.1",
            "fixes": (),
        }
    ]


def test_a_race_that_never_occurred_ends_with_code_0(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    requests = told(schedule(1), SUMMARY)
    assert main(["repro", "deadlock", "--fixes", "fixed"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "deadlock on 3.2.1, fixed: 0 of 1"
    assert "state_update_lock_scope" in requests[0]["fixes"]


def test_a_race_of_two_causes_is_played_by_both_reproducers_in_one_process(
    told: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    reproducers = [
        reproducer.name for reproducer in races_named("duplicate_callback") if "3.2.1" in reproducer.releases
    ]
    requests = told(schedule(1), SUMMARY, schedule(1, "duplicate"), SUMMARY)
    assert main(["repro", "duplicate_callback"]) == 1
    assert [request["reproducers"] for request in requests] == [reproducers]
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"{reproducers[0]} on 3.2.1, stock: 0 of 1",
        f"{reproducers[1]} on 3.2.1, stock: 1 of 1",
    ]


def test_a_cause_that_the_release_has_not_is_said(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    requests = told(schedule(1, "duplicate"), SUMMARY)
    assert main(["repro", "duplicate_callback", "--airflow", "3.3.2"]) == 1
    assert "duplicate_callback_schedulers" not in requests[0]["reproducers"]
    assert "duplicate_callback_schedulers: not in Airflow 3.3.2" in capsys.readouterr().out


def test_as_json_each_reproducer_has_its_count_and_its_first_play(
    told: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    told(schedule(1, "duplicate"), schedule(2), SUMMARY)
    words = ["repro", "duplicate_callback", "--airflow", "3.3.2", "--times", "2"]
    assert main([*words, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["airflow"], document["fixes"]) == ("3.3.2", "stock")
    assert document["command"] == "stress repro duplicate_callback --airflow 3.3.2 --fixes stock --times 2"
    found = {each["name"]: each for each in document["reproducers"]}
    absent, played = found["duplicate_callback_schedulers"], found["duplicate_callback_triggerers"]
    assert (played["race"], played["occurred"], played["plays"]) == ("duplicate_callback", 1, 2)
    assert (played["failures"], played["steps"]) == ([{"invariant": "duplicate", "detail": "why"}], STEPS)
    assert (absent["occurred"], absent["plays"], absent["steps"]) == (0, 0, [])
    assert absent["reason"].startswith("not in Airflow 3.3.2 (it is in ")


def test_as_json_a_reproducer_that_the_release_does_not_know_has_the_reason(
    told: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    told({"kind": "unknown_operation", "operation": "deadline_check", "why": "it is gone"}, schedule(1), SUMMARY)
    assert main(["repro", "duplicate_callback", "--json"]) == 3
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["reproducers"]}
    unknown, known = found["duplicate_callback_schedulers"], found["duplicate_callback_triggerers"]
    assert unknown["reason"] == "the operation deadline_check does not support Airflow 3.2.1: it is gone"
    assert [(each["occurred"], each["plays"]) for each in (unknown, known)] == [(0, 0), (0, 1)]


PLAY = (schedule(1), SUMMARY)


def test_all_are_the_reproducers_that_the_release_has(told: Any) -> None:
    here = {race.name for race in RACES.values() if "3.2.1" in race.releases}
    requests = told(*PLAY * len(here))
    assert main(["repro", "all", "--airflow", "3.2.1"]) == 0
    played = {name: request["engine"] for request in requests for name in request["reproducers"]}
    assert played == {name: RACES[name].engine for name in here}
    assert [request["engine"] for request in requests] == [Engine.SQL, Engine.AIO]


def test_a_reproducer_that_the_release_does_not_know_leaves_the_others(
    told: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    told({"kind": "unknown_operation", "operation": "deadline_check", "why": "it is gone"}, schedule(1), SUMMARY)
    assert main(["repro", "duplicate_callback"]) == 3
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == "duplicate_callback_triggerers on 3.2.1, stock: 0 of 1"
    assert "the operation deadline_check does not support Airflow 3.2.1: it is gone" in captured.err


def test_a_race_that_the_release_has_not_is_played_and_said(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told(schedule(1), SUMMARY)
    assert main(["repro", "deadlock", "--airflow", "3.3.2"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "Airflow 3.3.2 does not have this race: it is in 3.2.1",
        "deadlock on 3.3.2, stock: 0 of 1",
    ]


def test_without_a_release_one_that_has_the_race_is_taken(told: Any) -> None:
    requests = told(schedule(1, "false_success"), SUMMARY)
    assert main(["repro", "false_failed"]) == 1
    assert requests[0]["release"] == "3.3.2"


@pytest.mark.parametrize("status", ["refused", "error", "silent"])
def test_a_fix_that_did_not_load_is_no_result(told: Any, status: str, capsys: pytest.CaptureFixture[str]) -> None:
    told(schedule(1), SUMMARY, statuses={"state_update_lock_scope": status} if status != "silent" else {})
    assert main(["repro", "deadlock", "--fixes", "state_update_lock_scope"]) == 3
    captured = capsys.readouterr()
    assert "did not load" in captured.err
    assert " of 1" not in captured.out


def test_all_mistakes_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repro", "nothing", "--airflow", "2.0.0", "--times", "0"]) == 64
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert main(["explore", "nothing", "--preemptions", "x", "--times", "3", "--budget", "1d", "--fixes", "nope"]) == 64
    assert len(capsys.readouterr().err.splitlines()) == 5


def test_a_string_that_is_no_schedule_is_a_bad_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "deadline_check+deadline_check", "--replay", "4A"]) == 64
    assert "is no schedule" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("comms_with_cancellation",), ("marking+marking", "--replay", "A4B")])
def test_no_pruning_is_for_a_search_of_the_database(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", *words, "--no-pruning"]) == 64
    assert "--no-pruning is for" in capsys.readouterr().err


def test_steps_that_came_otherwise_than_before_are_told(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    requests = told(SUMMARY | {"nondeterministic": ["A: is blocked, and another time: is done", "B: ..."]})
    assert main(["explore", "marking+marking", "--no-pruning"]) == 0
    out = capsys.readouterr().out
    assert "2 steps came to something else than the same steps before" in out
    assert out.endswith("\n  A: is blocked, and another time: is done\n")
    assert requests[0]["pruning"] is False


@pytest.mark.parametrize(
    ("summary", "code"),
    [
        ({}, 0),
        ({"failed": 2}, 1),
        ({"exhausted": False}, 2),
        ({"failed": 2, "exhausted": False}, 1),
    ],
)
def test_a_search_ends_with_its_code(
    told: Any, summary: dict[str, Any], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    told(schedule(7, "deadlock"), SUMMARY | summary)
    assert main(["explore", "state_update+dag_version_refresh", "--budget", "5s"]) == code
    out = capsys.readouterr().out
    assert "schedule A4B fails (number 7)" in out
    assert "3 schedules tried with at most 2 preemptions" in out


def test_several_pairs_are_searched_in_one_process(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = {"kind": "unknown_operation", "operation": "marking", "why": "it is gone"}
    requests = told(SUMMARY, unknown, schedule(1, "deadlock"), SUMMARY | {"failed": 1}, SUMMARY | {"exhausted": False})
    pairs = ["state_update+state_update", "marking+marking", "clearing+clearing", "heartbeat+clearing"]
    assert main(["explore", *pairs]) == 3
    assert requests[0]["pairs"] == pairs
    captured = capsys.readouterr()
    assert (
        "4 pairs on 3.2.1, stock: 9 schedules tried; 1 pairs with one that fails, 1 not finished in their 300 s, "
        "1 not known" in captured.out
    )
    assert captured.out.splitlines()[-2:] == ["  fails: clearing+clearing", "  not finished: heartbeat+clearing"]
    assert captured.err.splitlines()[-1].startswith("stress: marking+marking: the operation marking does not support")


@pytest.mark.parametrize(
    ("summaries", "code"), [([{}, {}], 0), ([{"exhausted": False}, {}], 2), ([{}, {"failed": 1}], 1)]
)
def test_several_pairs_end_with_the_worst(told: Any, summaries: list[dict[str, Any]], code: int) -> None:
    told(*[SUMMARY | summary for summary in summaries])
    assert main(["explore", "marking+marking", "clearing+clearing"]) == code


def test_a_schedule_is_replayed_of_one_pair(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "marking+marking", "clearing+clearing", "--replay", "A4B"]) == 64
    assert "--replay is for one pair" in capsys.readouterr().err


def test_a_replay_says_how_often_it_failed(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    requests = told(schedule(1, "deadlock"), schedule(2, "deadlock"), SUMMARY | {"tried": 2, "failed": 2})
    words = ["explore", "state_update+dag_version_refresh", "--replay", "A4B", "--times", "2"]
    assert main(words) == 1
    assert (requests[0]["command"], requests[0]["schedule"]) == ("replay", "A4B")
    assert capsys.readouterr().out.splitlines()[-1].endswith("schedule A4B: 2 of 2 fail")


def test_a_release_that_an_operation_does_not_know_is_told(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told({"kind": "unknown_operation", "operation": "callback_enqueue", "why": "there is no _enqueue"})
    assert main(["explore", "callback_enqueue+callback_enqueue", "--airflow", "3.1.8"]) == 3
    err = capsys.readouterr().err
    assert "the operation callback_enqueue does not support Airflow 3.1.8: there is no _enqueue" in err


def test_a_process_that_failed_is_a_fault_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(*_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        raise RunnerFailed("it ended")
        yield {}

    monkeypatch.setattr(Runner, "ask", ask)
    assert main(["repro", "deadlock"]) == 3
    assert capsys.readouterr().err == "stress: it ended\n"


@pytest.mark.parametrize("words", [("repro", "deadlock"), ("explore", "marking+marking")])
def test_an_interrupt_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(*_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        raise KeyboardInterrupt
        yield {}

    monkeypatch.setattr(Runner, "ask", ask)
    assert main([*words]) == 130
    assert capsys.readouterr().err == "stress: interrupted\n"


@pytest.mark.parametrize("what", ["pairs", "reproducers"])
def test_lists(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", what]) == 0
    out = capsys.readouterr().out
    for name in PAIRS if what == "pairs" else RACES:
        assert name in out


def test_a_pair_of_the_database_is_named_by_its_operations() -> None:
    for name, pair in DATABASE_PAIRS.items():
        operations, _, variant = name.partition(":")
        assert tuple(operations.split("+")) == pair.operations
        assert variant == pair.variant
    assert {name for name, pair in PAIRS.items() if pair.engine is Engine.SQL} == set(DATABASE_PAIRS)


def test_all_leaves_out_the_pairs_of_later_releases(told: Any) -> None:
    asked = {}
    for version in ("3.3.2", "3.4.0b2"):
        requests = told(SUMMARY)
        main(["explore", "all", "--airflow", version])
        asked[version] = {name for request in requests for name in request["pairs"]}
    assert asked["3.4.0b2"] == set(PAIRS)
    left_out = asked["3.4.0b2"] - asked["3.3.2"]
    assert left_out == {name for name, pair in PAIRS.items() if pair.since == (3, 4)}
    assert "restart_end+clearing" in left_out


def test_the_pairs_of_both_engines_are_listed_from_their_data() -> None:
    assert {name for name, pair in PAIRS.items() if pair.engine is Engine.AIO} == set(COMMS_PAIRS)
    assert len(PAIRS) == len(DATABASE_PAIRS) + len(COMMS_PAIRS)


def test_the_listing_stands_the_actors_side_by_side() -> None:
    lines = table({"steps": STEPS}, width=40).splitlines()
    assert lines[0].split("   ")[0] == "A: state_update"
    assert lines[0].endswith("B: dag_version_refresh")
    mine = [line for line in lines if line.startswith("  locks")]
    theirs = [line for line in lines if "waits for A" in line]
    assert len(mine) == len(theirs) == 1
    assert theirs[0].index("waits") > 40
    assert lines[-1] == "COMMIT"


def test_a_statement_is_shortened_to_what_matters() -> None:
    assert (
        shorten("SELECT a, b FROM t WHERE x = %(x_1)s::UUID FOR UPDATE") == "SELECT ... FROM t WHERE x = :x FOR UPDATE"
    )
    assert shorten("INSERT INTO log (a, b) VALUES (1)") == "INSERT INTO log ..."
    assert shorten("at row 2 of: UPDATE log SET a = 1") == "(the rest of the UPDATE, at row 2)"
    long = "SELECT a FROM t WHERE " + "x = 1 AND " * 40 + "y = 2 FOR UPDATE OF t SKIP LOCKED"
    assert len(shorten(long)) <= 150
    assert shorten(long).endswith("FOR UPDATE OF t SKIP LOCKED")


@pytest.mark.parametrize("reproducer", RACES.values(), ids=RACES)
def test_the_fix_of_each_reproducer_is_one_of_its_race(reproducer: Race) -> None:
    assert fix_race(reproducer.fix) == reproducer.race


def test_wheels_with_a_comma_between_them_are_refused(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    requests = told()
    assert main(["repro", "deadlock", "--airflow", "/a/core.whl,/a/sdk.whl"]) == 64
    assert "join wheels with '+', as in a.whl+b.whl" in capsys.readouterr().err
    assert requests == []
