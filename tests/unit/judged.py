"""Block checks written by hand, for the tests of the judge."""

from __future__ import annotations

from collections.abc import Sequence

from stress.judge.verdicts import judge
from stress.results import BlockCheck, HarmMeasure, Incident, RaceVerdict, Witness

RACES = ("deadlock", "duplicate_callback", "out_of_order_frame")


def check(
    arm: str, block: int, count: int, chances: int = 1000, *, race: str = "deadlock", blind: tuple[str, ...] = ()
) -> BlockCheck:
    """One race on one block; incident n is n seconds after second 5 of the load."""
    incidents = tuple(Incident(race, block, arm, 5.0 + n, "cause", "signature", Witness("")) for n in range(count))
    return BlockCheck(race, block, arm, incidents, chances, 60.0, blind)


def turns(
    stock: Sequence[int],
    fixed: Sequence[int],
    *,
    race: str = "deadlock",
    chances: tuple[int, int] = (1000, 1000),
    blind: frozenset[int] = frozenset(),
) -> list[BlockCheck]:
    """Blocks in turns, stock first; `chances` of a block on stock and on fixed, `blind` block numbers."""
    made = []
    for n in range(max(len(stock), len(fixed))):
        for place, (arm, counts) in enumerate((("stock", stock), ("fixed", fixed))):
            if n < len(counts):
                block = 2 * n + place
                why = (f"block {block} was not seen",) if block in blind else ()
                made.append(check(arm, block, counts[n], chances[place], race=race, blind=why))
    return made


def one(
    checks: Sequence[BlockCheck],
    *,
    harm: Sequence[HarmMeasure] = (),
    block_cost_s: float | None = None,
    unloaded: dict[str, list[str]] | None = None,
    interrupted: bool = False,
) -> RaceVerdict:
    """The verdict on the deadlock alone, stock against fixed."""
    return judge(
        checks,
        races=["deadlock"],
        control="stock",
        under_test="fixed",
        harm=harm,
        block_cost_s=block_cost_s,
        unloaded=unloaded or {},
        interrupted=interrupted,
        units={"deadlock": "state updates"},
    )["deadlock"]
