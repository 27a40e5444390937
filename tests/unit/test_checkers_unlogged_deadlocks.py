"""Every race that is read from PostgreSQL's log is blind when the server counted more deadlocks than the log showed."""

from __future__ import annotations

import pytest

from stress import events
from stress.races.registry import check
from tests.unit.histories import Block, deadlock


@pytest.mark.parametrize("race", ["deadlock", "asset_deadlock", "fail_fast", "lost_mark"])
@pytest.mark.parametrize(("counted", "is_blind"), [(1, False), (2, True)])
def test_a_deadlock_that_the_log_did_not_show_makes_the_race_blind(race: str, counted: int, *, is_blind: bool) -> None:
    sample = events.DatabaseSampled(deadlocks=counted, commits=1, rollbacks=1, sessions=1)
    blind = check(race, Block().add(11.0, deadlock()).add(12.0, sample).end().view()).blind
    assert (f"block 0: PostgreSQL counted {counted} deadlocks, its log showed 1" in blind) is is_blind
