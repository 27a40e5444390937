"""The explorer on a toy schema and a real PostgreSQL: executor, snapshots, invariants, row stops; without Airflow."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from release_scripts import run_script

from stress.arms.releases import DEFAULT_RELEASE

START = {
    "account": [{"id": 1, "balance": 10}, {"id": 2, "balance": 10}],
    "job": [{"id": 1, "taken_by": None}, {"id": 2, "taken_by": None}],
    "note": [],
}


@functools.cache
def found() -> dict[str, dict[str, Any]]:
    """What each scenario found."""
    return {line["scenario"]: line for line in run_script(DEFAULT_RELEASE, "toy_testbed.py")}


def invariants(scenario: dict[str, Any]) -> set[str]:
    assert scenario["exhausted"]
    assert scenario["nondeterministic"] == []
    return {failure["invariant"] for failures in scenario["failures"].values() for failure in failures}


def test_a_deadlock_is_found_and_replayed_with_its_witness() -> None:
    scenario = found()["deadlock"]
    assert invariants(scenario) == {"deadlock"}
    assert set(scenario["again"]) == {"deadlock"}
    assert len(scenario["again"]) >= 5
    steps = [(step["actor"], step["locks"], step["waited_for"]) for step in scenario["steps"]]
    assert ("A", ["account 1"], None) in steps
    assert ("B", ["account 2"], None) in steps
    assert {waits for _, _, waits in steps} >= {"B: account 2"} or {waits for _, _, waits in steps} >= {"A: account 1"}
    assert sorted(scenario["responses"].values()) == ["OperationalError", "done"]
    header, _, *lines = scenario["table"].splitlines()
    assert header.split("  ")[0] == "A: transfer 1 to 2"
    assert any("40P01" in line for line in lines)


def test_transfers_in_one_order_have_no_schedule_that_fails() -> None:
    scenario = found()["ordered"]
    assert invariants(scenario) == set()
    assert scenario["tried"] > 1


def test_a_lost_update_is_told_by_its_rows() -> None:
    scenario = found()["lost_update"]
    assert invariants(scenario) == {"lost_update"}
    details = {failure["detail"] for failures in scenario["failures"].values() for failure in failures}
    lost = "not as in any order one after the other: account: balance is {}, not 16"
    assert details == {lost.format(11), lost.format(15)}


def test_workers_that_skip_locked_rows_are_as_in_a_serial_order() -> None:
    """Ids from a sequence and times differ from run to run, and are no difference."""
    assert invariants(found()["queue"]) == set()


def test_three_actors_are_searched() -> None:
    assert invariants(found()["three_actors"]) == {"deadlock", "lost_update"}


def test_an_actor_that_raises_is_an_error() -> None:
    scenario = found()["error"]
    assert invariants(scenario) == {"error"}
    assert scenario["failures"]["A"] == [{"invariant": "error", "detail": "A: ValueError: no such account"}]


def test_an_invariant_of_ones_own_sees_committed_rows_and_responses() -> None:
    scenario = found()["invariant"]
    assert invariants(scenario) == {"sum"}
    detail = scenario["failures"]["A"][0]["detail"]
    assert detail == "{'A': 'done', 'B': 'done'} leave 25, 2"


def test_what_a_periodic_actor_leaves_undone_it_does_in_its_next_round() -> None:
    assert invariants(found()["periodic"]["once"]) == {"lost_update"}
    assert invariants(found()["periodic"]["loop"]) == set()


def test_single_statements_deadlock_only_between_their_rows() -> None:
    assert invariants(found()["between_rows"]["statements"]) == set()
    assert invariants(found()["between_rows"]["rows"]) == {"deadlock"}


@pytest.mark.parametrize("name", ["deadlock", "lost_update", "queue", "three_actors", "error"])
def test_the_starting_state_is_restored(name: str) -> None:
    assert found()[name]["left"] == START


def test_an_actor_that_waits_in_python_is_told_with_its_line() -> None:
    stuck = found()["stuck"]["stuck"]
    assert stuck.startswith("no step ended within 1 s: A (waits) running, after: SELECT 1")
    assert "never.wait()" in stuck


def test_time_is_a_step_and_a_threshold_passes_at_any_point() -> None:
    scenario = found()["time"]
    assert invariants(scenario) == {"two_owners"}
    # Two serial schedules and more do not fail: without the clock's step there is nothing to take.
    assert 0 < len(scenario["failures"]) < scenario["tried"]
    assert all("C" in schedule for schedule in scenario["failures"])


def test_what_one_transaction_does_is_whole_or_not_there_after_a_crash() -> None:
    scenario = found()["crash"]
    assert invariants(scenario["one"]) == set()
    assert scenario["one"]["tried"] > 3


def test_a_crash_between_two_transactions_leaves_half_of_the_work() -> None:
    scenario = found()["crash"]
    assert invariants(scenario["two"]) == {"lost_update"}
    details = {failure["detail"] for failures in scenario["two"]["failures"].values() for failure in failures}
    assert details == {"not as in any order one after the other: account: balance is 10, not 11"}


def test_a_crash_releases_the_locks_that_another_actor_waits_for() -> None:
    scenario = found()["crash"]
    steps = [(step["actor"], step["waited_for"]) for step in scenario["released"]]
    assert steps[:3] == [("A", None), ("B", "A: account 1"), ("C", None)]
    assert {actor for actor, _ in steps[3:]} == {"B"}
    assert invariants(scenario["waits"]) == set()


@pytest.mark.parametrize("name", ["one", "two", "waits"])
def test_the_starting_state_is_restored_after_crashes(name: str) -> None:
    assert found()["crash"][name]["left"] == START


def test_a_deadlock_shrinks_to_one_preemption_after_one_statement() -> None:
    shortest = found()["shrunk"]["shortest"]
    assert shortest["schedule"] in ("A1B", "B1A")
    assert (shortest["preemptions"], shortest["choices"]) == (1, 2)
    assert shortest["proved"]
    assert shortest["plays"] > 0


def test_drawn_schedules_are_those_of_their_seed_and_meet_the_lost_update() -> None:
    scenario = found()["drawn"]
    assert scenario["tried"] == scenario["again"] != []
    assert "lost_update" in {invariant for _, failed in scenario["tried"] for invariant in failed}


def test_a_choice_that_is_not_possible_is_noticed() -> None:
    assert found()["diverged"]["diverged"] is True


def test_what_does_more_than_its_text_says_is_known_from_the_server() -> None:
    scenario = found()["schema"]
    assert scenario["tables"] == ["Odd name", "account", "job", "note", "numbered"]
    # Two tables draw from one sequence, so the order of inserts into them matters.
    assert scenario["opaque"] == ["numbered", "odd name", "rich", "ticket"]
    assert scenario["pure"] == ["twice", "lower", "now", "in"]
    assert scenario["parents"] == ["job"]
