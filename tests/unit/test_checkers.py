"""All checkers: they are registered with what belongs to them, and one that fails has found nothing out."""

from __future__ import annotations

import pytest

from stress.checkers.view import BlockView
from stress.races import registry
from stress.results import BlockCheck
from tests.unit.histories import LOAD_S, Block


def test_a_checker_that_throws_is_blind_and_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    def throws(_: BlockView) -> BlockCheck:
        raise KeyError("trigger")

    monkeypatch.setattr(registry, "CHECKERS", {"deadlock": throws})
    found = registry.check("deadlock", Block("fixed", 4).end().view())
    expected = ("the checker of deadlock failed: KeyError: 'trigger'",)
    assert found == BlockCheck("deadlock", 4, "fixed", (), 0, LOAD_S, expected)


@pytest.mark.parametrize("race", registry.CHECKERS)
def test_a_quiet_block_has_no_incident(race: str) -> None:
    found = registry.check(race, Block().end().view())
    assert (found.incidents, found.blind) == ((), ())


@pytest.mark.parametrize("race", registry.CHECKERS)
def test_a_block_that_was_cut_short_is_blind(race: str) -> None:
    found = registry.check(race, Block().end(complete=False, reason="interrupted").view())
    assert any("was cut short: interrupted" in reason for reason in found.blind)


@pytest.mark.parametrize("race", registry.CHECKERS)
def test_a_block_that_still_runs_is_not_blind_for_that(race: str) -> None:
    assert registry.check(race, Block().view()).blind == ()


@pytest.mark.parametrize("race", registry.CHECKERS)
def test_a_block_of_which_nothing_is_known_is_blind(race: str) -> None:
    assert registry.check(race, BlockView(0, "stock", ())).blind != ()
