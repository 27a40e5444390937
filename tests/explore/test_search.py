"""The search with no hint of where to look: it finds what is known, plays it again, and finds nothing on fixed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stress.cli import main
from stress.explore.catalogue import PAIRS, Engine

PAIR = "state_update+dag_version_refresh"


def explore(*words: str) -> int:
    return main(["explore", *words])


def test_the_deadlock_of_3_2_1_is_found_and_played_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explore(PAIR, "--airflow", "3.2.1", "--save", str(tmp_path)) == 1
    out = capsys.readouterr().out
    found = re.search(r"schedule (\w+) fails \(number \d+ after ([\d.]+) s\)\n  deadlock: ", out)
    assert found is not None, out
    assert float(found[2]) < 10

    assert explore(PAIR, "--airflow", "3.2.1", "--replay", found[1], "--times", "20") == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("20 of 20 fail")

    (file,) = tmp_path.iterdir()
    assert explore("--replay", str(file)) == 1
    assert f"on 3.2.1, stock, schedule {found[1]}: 1 of 1 fail" in capsys.readouterr().out
    assert explore("--replay", str(file), "--fixes", "state_update_lock_scope") == 3
    assert "task_instances:_create_ti_state_update_query_and_update_state is replaced by " in capsys.readouterr().err


def test_a_race_that_a_time_out_sets_off_is_found_without_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is due when the schedules begin: the time-out passes when the search says so."""
    assert explore("trigger_event+timeout_sweep+time_passes", "--airflow", "3.2.1", "--preemptions", "1") == 1
    out = capsys.readouterr().out
    assert "  lost_update: not as in any order one after the other: task_instance: next_method is __fail__" in out
    assert "came to something else" not in out


@pytest.mark.parametrize(
    "pair",
    [PAIR, "deadline_check+deadline_check", "trigger_assignment+trigger_assignment"],
)
def test_on_fixed_all_schedules_are_tried_and_none_fails(pair: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert explore(pair, "--airflow", "3.2.1", "--fixes", "fixed") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.search(r": [1-9]\d* schedules tried with at most 2 preemptions, \d+ equivalent prefixes", last), last


@pytest.mark.parametrize(
    ("pair", "invariant"),
    [
        ("deadline_check+deadline_check", "duplicate"),
        ("trigger_assignment+trigger_assignment", "duplicate"),
    ],
)
def test_on_stock_the_known_ones_fail(pair: str, invariant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert explore(pair, "--airflow", "3.2.1", "--preemptions", "1") == 1
    assert f"  {invariant}: " in capsys.readouterr().out


# All pairs, in one command: minutes of CPU time, and the stage plays two releases at once.
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("version", ["3.2.1", "3.3.2"])
def test_on_fixed_no_pair_of_the_database_has_a_schedule_that_fails(
    version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one preemption, for time's sake; FINDINGS.md tells of two."""
    pairs = [pair.name for pair in PAIRS.values() if pair.engine is Engine.SQL and pair.is_of(version)]
    code = explore(*pairs, "--airflow", version, "--fixes", "fixed", "--preemptions", "1")
    out = capsys.readouterr().out
    assert (code, [line for line in out.splitlines() if line.startswith(("schedule ", "  fails: "))]) == (0, [])
    assert "came to something else" not in out
    tried = {line.partition(" on ")[0] for line in out.splitlines() if " schedules tried with at most 1 " in line}
    assert tried == set(pairs)


ARCHIVE = {
    "state_update+clearing": True,
    "heartbeat+clearing": False,
    "enter_running+clearing": True,
    "enter_running+orphan_adoption": False,
    "trigger_event+clearing": True,
    "trigger_failure+clearing": True,
    "executor_events+state_update": False,
    "orphan_adoption+state_update": False,
    "run_scheduling+clearing": False,
    "marking_all+trigger_cleanup": True,
    "asset_update+asset_update": False,
    "callback_round+callback_round": True,
    "run_clearing+run_clearing": True,
}
"""Pairs that came to something else on 3.4, and whether a schedule of stock fails there."""


def _tried_and_failing(out: str) -> tuple[dict[str, int], set[str]]:
    tried = {pair: int(number) for pair, number in re.findall(r"^(\S+) on [^:]+: (\d+) schedules tried", out, re.M)}
    return tried, set(re.findall(r"^  fails: (\S+)$", out, re.M))


@pytest.mark.parametrize("version", ["3.4.0b2"])
def test_what_3_4_archives_is_no_failure_by_itself(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert explore(*ARCHIVE, "--airflow", version, "--preemptions", "1") == 1
    tried, failing = _tried_and_failing(capsys.readouterr().out)
    assert failing == {pair for pair, fails in ARCHIVE.items() if fails}
    # More schedules than the two serial ones: each operation meets the other one in some row.
    assert {pair for pair in ARCHIVE if tried.get(pair, 0) > 2} == set(ARCHIVE)

    assert explore(*ARCHIVE, "--airflow", version, "--preemptions", "1", "--fixes", "fixed") == 0
    assert set(_tried_and_failing(capsys.readouterr().out)[0]) == set(ARCHIVE)


@pytest.mark.parametrize("version", ["3.4.0b2"])
def test_the_operations_of_all_pairs_know_3_4(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The serial orders and one schedule each. Without a preemption only two defects show: an order is enough for them.

    `deferral_exit+resumption` is the race stale_success; the other one is in archived_attempt's README (finding 24).
    """
    pairs = [pair.name for pair in PAIRS.values() if pair.engine is Engine.SQL]
    assert explore(*pairs, "--airflow", version, "--preemptions", "0") == 1
    tried, failing = _tried_and_failing(capsys.readouterr().out)
    assert set(tried) == set(pairs)
    assert failing == {"deferral_exit+resumption", "heartbeat_timeout+clearing"}


def test_a_deadlock_inside_single_statements_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    """Both statements insert the same two rows, each process in an order of its own."""
    pair = "one_asset_update+one_asset_update"
    assert explore(pair, "--airflow", "3.3.2", "--preemptions", "1") == 1
    assert "  deadlock: " in capsys.readouterr().out
    assert explore(pair, "--airflow", "3.3.2", "--preemptions", "1", "--fixes", "fixed") == 0
    assert "came to something else" not in capsys.readouterr().out


def test_a_budget_that_ends_first_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["trigger_assignment+trigger_assignment", "--fixes", "fixed", "--preemptions", "5", "--no-pruning"]
    assert explore(*words, "--budget", "0.1s") == 2
    assert capsys.readouterr().out.splitlines()[-1] == "The budget of 0 s ended before all were tried."


def test_an_operation_that_the_release_has_not_is_named_and_others_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert explore("callback_enqueue+callback_enqueue", "--airflow", "3.1.8") == 3
    assert "does not support Airflow 3.1.8" in capsys.readouterr().err
    assert explore("trigger_assignment+trigger_assignment:task", "--airflow", "3.1.8", "--preemptions", "0") == 0


def test_nothing_is_missed_by_what_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Every order of a pair with one preemption, equivalent ones too, comes to the same kinds of schedules."""
    words = ["deadline_check+deadline_check", "--fixes", "fixed", "--preemptions", "1"]
    tried = []
    for more in ([], ["--no-pruning"]):
        assert explore(*words, *more) == 0
        found = re.search(r": (\d+) schedules tried", capsys.readouterr().out)
        assert found is not None
        tried.append(int(found[1]))
    assert tried[0] == tried[1] > 4
