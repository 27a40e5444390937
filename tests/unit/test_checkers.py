"""All checkers: they are registered with what belongs to them, and one that fails has found nothing out."""

from __future__ import annotations

import pytest
from histories import LOAD_S, Block

from stress import checkers
from stress.checkers.view import BlockView
from stress.results import BlockCheck
from stress.scenarios import SCENARIOS, races_of


def test_every_race_has_its_known_causes() -> None:
    assert checkers.CAUSES.keys() == checkers.CHECKERS.keys()


def test_every_race_of_a_scenario_has_a_checker() -> None:
    assert set(races_of(list(SCENARIOS.values()), faults=True)) == set(checkers.CHECKERS)


def test_a_checker_that_throws_is_blind_and_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    def throws(_: BlockView) -> BlockCheck:
        raise KeyError("trigger")

    monkeypatch.setattr(checkers, "CHECKERS", {"deadlock": throws})
    found = checkers.check("deadlock", Block("fixed", 4).end().view())
    expected = ("the checker of deadlock failed: KeyError: 'trigger'",)
    assert found == BlockCheck("deadlock", 4, "fixed", (), 0, LOAD_S, expected)


@pytest.mark.parametrize("race", checkers.CHECKERS)
def test_a_quiet_block_has_no_incident(race: str) -> None:
    found = checkers.check(race, Block().end().view())
    assert (found.incidents, found.blind) == ((), ())


@pytest.mark.parametrize("race", checkers.CHECKERS)
def test_a_block_that_was_cut_short_is_blind(race: str) -> None:
    found = checkers.check(race, Block().end(complete=False, reason="interrupted").view())
    assert any("was cut short: interrupted" in reason for reason in found.blind)


@pytest.mark.parametrize("race", checkers.CHECKERS)
def test_a_block_that_still_runs_is_not_blind_for_that(race: str) -> None:
    assert checkers.check(race, Block().view()).blind == ()


@pytest.mark.parametrize("race", checkers.CHECKERS)
def test_a_block_of_which_nothing_is_known_is_blind(race: str) -> None:
    assert checkers.check(race, BlockView(0, "stock", ())).blind != ()
