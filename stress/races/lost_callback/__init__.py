"""Lost callbacks under faults. README.md is the finding."""

from __future__ import annotations

from stress.races.duplicate_callback.scenario import SCENARIO
from stress.races.lost_callback import checker
from stress.races.race import Headline, Race

RACE = Race(
    name="lost_callback",
    place=5,
    summary=(
        "A deadline passed, and its callback never ran, though every fault was healed and nothing moved any more."
    ),
    scenario=SCENARIO,
    needs_faults=True,
    check=checker.check,
    causes=checker.CAUSES,
    unit="passed deadlines",
    opportunity="a deadline passed",
    headline=Headline(
        "lost_callbacks",
        "Deadlines that passed and whose callback never ran",
        one_more=(
            "after all faults were healed and the block had settled, the callback of one deadline that had "
            "passed had never run; the cause says where it was lost, by the rows that are left"
        ),
    ),
)
