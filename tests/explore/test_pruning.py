"""Pruning misses no outcome: random programs, searched with and without it, on a real PostgreSQL.

`EXPLORE_SEED=N` draws other programs.
"""

from __future__ import annotations

import functools
import json
import os
from typing import Any

import pytest
from release_scripts import run_script

from stress.arms.releases import DEFAULT_RELEASE

PROGRAMS = {"statements": 25, "rows": 10, "three": 10}
MOST_PLAYED = {"statements": 0.8, "rows": 0.8, "three": 0.9}
"""Of the schedules of the whole search; three actors are searched with one preemption, where less is equivalent."""

SEED = int(os.environ.get("EXPLORE_SEED", "9"))
SCRIPT = "random_programs.py"


ROWS_UP = "SELECT id FROM parent ORDER BY id FOR NO KEY UPDATE"
ROWS_DOWN = "SELECT id FROM parent ORDER BY id DESC FOR NO KEY UPDATE"
ROWS_AS_THEY_LIE = "UPDATE parent SET v = v + 1"
"""In the order 2, 3, 1."""

CHILDREN = "INSERT INTO child VALUES {} ON CONFLICT DO NOTHING"
OPPOSITE = {
    "locks against locks": (ROWS_UP, ROWS_DOWN),
    "locks against writes": (ROWS_UP, ROWS_AS_THEY_LIE),
    "inserts": (CHILDREN.format("(8, 1, 0), (9, 1, 0)"), CHILDREN.format("(9, 1, 0), (8, 1, 0)")),
    "deletes against locks": ("DELETE FROM parent", ROWS_UP),
}
"""Pairs of single statements that lock the same rows in different orders."""

READS = "SELECT id, v FROM parent ORDER BY id"
NOT_UNDERSTOOD = {
    "merge": "MERGE INTO parent USING child ON parent.id = child.parent_id WHEN MATCHED THEN UPDATE SET v = 7",
    "call": "CALL store(7)",
    "function that writes": "SELECT note(7)",
    "function that reads": "SELECT total()",
    "view": "SELECT id, v FROM busy ORDER BY id",
    "trigger": "UPDATE logged SET v = 7",
    "sequence": "SELECT nextval('tickets')",
    "savepoint": "ROLLBACK TO SAVEPOINT s",
    "table lock": "LOCK TABLE parent IN ACCESS EXCLUSIVE MODE",
}
"""Statements that do more than their text says."""


@functools.cache
def searched(mode: str) -> list[dict[str, Any]]:
    """What both searches of each random program came to."""
    return run_script(DEFAULT_RELEASE, SCRIPT, mode, str(SEED), str(PROGRAMS[mode]))


@functools.cache
def opposite(mode: str) -> dict[str, list[str]]:
    """The outcomes of the pairs of statements."""
    found = run_script(
        DEFAULT_RELEASE, SCRIPT, mode, json.dumps([[[one], [other]] for one, other in OPPOSITE.values()])
    )
    return {name: one["pruned"]["outcomes"] for name, one in zip(OPPOSITE, found, strict=True)}


@functools.cache
def not_understood() -> dict[str, dict[str, Any]]:
    """What both searches came to for each statement against reads and writes of the table that it uses unseen."""
    write = "UPDATE parent SET v = v * 10 + 1 WHERE id = 1"
    programs = [
        [
            ["SAVEPOINT s", write, statement, "COMMIT", READS] if name == "savepoint" else [statement, "COMMIT", READS],
            [write, "COMMIT", statement if name == "sequence" else READS],
        ]
        for name, statement in NOT_UNDERSTOOD.items()
    ]
    return dict(
        zip(NOT_UNDERSTOOD, run_script(DEFAULT_RELEASE, SCRIPT, "statements", json.dumps(programs)), strict=True)
    )


@pytest.mark.parametrize("statement", NOT_UNDERSTOOD)
def test_no_outcome_is_missed_of_a_statement_that_does_more_than_it_says(statement: str) -> None:
    found = not_understood()[statement]
    assert found["pruned"]["exhausted"]
    assert found["pruned"]["outcomes"] == found["whole"]["outcomes"]
    assert found["whole"]["ambiguous"] == []
    assert len(found["whole"]["outcomes"]) > 1


@pytest.mark.parametrize("mode", PROGRAMS)
def test_the_pruned_search_comes_to_the_outcomes_of_the_whole_one(mode: str) -> None:
    found = searched(mode)
    assert len(found) == PROGRAMS[mode]
    for one in found:
        pruned, whole = one["pruned"], one["whole"]
        assert pruned["exhausted"]
        assert whole["exhausted"]
        assert pruned["outcomes"] == whole["outcomes"], (SEED, one["programs"])
        assert set(one["walks"]) <= set(pruned["outcomes"]), (SEED, one["programs"])
        assert pruned["tried"] <= pruned["played"]
        # The server chooses the victim of a deadlock: each is a class of its own, and which of them occur is chance.
        assert "deadlock" in whole["outcomes"] or pruned["played"] <= whole["played"]


@pytest.mark.parametrize("mode", PROGRAMS)
def test_schedules_of_one_kind_come_to_one_outcome(mode: str) -> None:
    for one in searched(mode):
        assert one["whole"]["ambiguous"] == [], (SEED, one["programs"])
        assert one["pruned"]["nondeterministic"] == [], (SEED, one["programs"])


@pytest.mark.parametrize("mode", PROGRAMS)
def test_the_programs_race_and_most_of_their_schedules_are_left_out(mode: str) -> None:
    """Programs that never come to two outcomes, or of which nothing is left out, would show nothing."""
    found = searched(mode)
    assert sum(len(one["whole"]["outcomes"]) > 1 for one in found) > len(found) / 3
    played = {name: sum(one[name]["played"] for one in found) for name in ("pruned", "whole")}
    assert played["pruned"] < played["whole"] * MOST_PLAYED[mode]


@pytest.mark.parametrize("pair", OPPOSITE)
def test_a_deadlock_of_two_single_statements_needs_stops_between_their_rows(pair: str) -> None:
    assert "deadlock" not in opposite("statements")[pair]
    assert "deadlock" in opposite("rows")[pair]
