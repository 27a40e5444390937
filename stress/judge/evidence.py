"""The evidence on each race: its block counts on two arms, and the p of every planned look. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stress.judge.counts import Usable, count_arm
from stress.judge.looks import level_at, looks_until
from stress.judge.permutation import Floats, PValues, joint_p, least_p
from stress.results import ArmCount, BlockCheck

_NEAR, _ROUGH_ERROR = 3, 0.003  # a rough p above this is not near the level: three standard errors at 2,000 deals


@dataclass(frozen=True)
class Evidence:
    """The evidence on one race. Blocks are (incidents, opportunities), of usable blocks only.

    `on_control` and `on_test` count all blocks, blind ones included: an incident seen in a blind block occurred. `p` is
    of the look that rejected, or else of all usable blocks; `rejected_at` the blocks that had run at that look.
    """

    race: str
    on_control: ArmCount
    on_test: ArmCount
    control_blocks: tuple[tuple[int, int], ...]
    test_blocks: tuple[tuple[int, int], ...]
    unseen: tuple[str, ...]
    p: PValues | None
    rejected_at: int | None
    first_look_at: int | None

    @property
    def share(self) -> float | None:
        """Opportunities per block under test, relative to control."""
        per_block = [
            sum(chances for _, chances in blocks) / len(blocks) if blocks else 0.0
            for blocks in (self.control_blocks, self.test_blocks)
        ]
        return per_block[1] / per_block[0] if per_block[0] else None


def blocks_of(checks: Sequence[BlockCheck], race: str, arm: str) -> list[BlockCheck]:
    return sorted((c for c in checks if c.race == race and c.arm == arm), key=lambda check: check.block)


def gather(
    checks: Sequence[BlockCheck],
    races: Sequence[str],
    usable: Usable,
    unseen: Mapping[str, tuple[str, ...]],
    control: str,
    under_test: str,
) -> dict[str, Evidence]:
    """Count both arms and take every planned look, for all races at once."""
    tested = [race for race in races if not unseen[race]]
    found = {(check.race, check.block): (len(check.incidents), check.opportunities) for check in checks}
    rows = [[found.get((race, block), (0, 0)) for race in tested] for block, _ in usable.blocks]
    p, rejected = _looks(rows, tested, usable, under_test) if control != under_test else ({}, {})
    looks = looks_until(len(rows))
    gathered = {}
    for race in races:
        pairs = {
            arm: tuple(found.get((race, block), (0, 0)) for block, own in usable.blocks if own == arm)
            for arm in (control, under_test)
        }
        gathered[race] = Evidence(
            race=race,
            on_control=count_arm(blocks_of(checks, race, control)),
            on_test=count_arm(blocks_of(checks, race, under_test)),
            control_blocks=pairs[control],
            test_blocks=pairs[under_test],
            unseen=unseen[race],
            p=p.get(race),
            rejected_at=rejected.get(race),
            first_look_at=usable.ran[looks[0] - 1] if looks else None,
        )
    return gathered


def _looks(
    rows: Sequence[Sequence[tuple[int, int]]], races: Sequence[str], usable: Usable, under_test: str
) -> tuple[dict[str, PValues], dict[str, int]]:
    """p of each race, and for those that some look rejected how many blocks had run by then.

    A look that cannot reject any race is not computed, except the last one, whose p-values are reported.
    """
    on_test = np.array([arm == under_test for _, arm in usable.blocks], dtype=bool)
    counts = np.array([[seen for seen, _ in row] for row in rows], dtype=np.float64)
    chances = np.array([[had for _, had in row] for row in rows], dtype=np.float64)
    p: dict[str, PValues] = {}
    rejected: dict[str, int] = {}
    stops = list(dict.fromkeys([*looks_until(len(rows)), len(rows)])) if rows and races else []
    for stop in stops:
        level = level_at(stop)
        decides = level is not None and any(may_reject(counts[:stop], chances[:stop], on_test[:stop], level))
        if stop != stops[-1] and not decides:
            continue
        values = joint_p(counts[:stop], chances[:stop], on_test[:stop], rough=True)
        if decides and any(
            value is not None and value.raw <= _NEAR * (level or 0.0) + _ROUGH_ERROR for value in values
        ):
            values = joint_p(counts[:stop], chances[:stop], on_test[:stop])
        for race, value in zip(races, values, strict=True):
            if value is None or race in rejected:
                continue
            p[race] = value
            if level is not None and value.adjusted <= level:
                rejected[race] = usable.ran[stop - 1]
    return p, rejected


def may_reject(counts: Floats, chances: Floats, test: npt.NDArray[np.bool_], level: float) -> list[bool]:
    """Whether each race may have a p at or below the level: a quick look that spares the permutations.

    Without an incident under test p is known by counting clean blocks; with some, the rate must at least be lower.
    """
    n_test, n_control = int(test.sum()), int((~test).sum())
    found = []
    for race in range(counts.shape[1]):
        t, c = counts[test, race], counts[~test, race]
        if t.any():
            found.append(bool(t.sum() * chances[~test, race].sum() < c.sum() * chances[test, race].sum()))
        else:
            found.append(bool(c.any()) and least_p(n_control, n_test, int((c == 0).sum())) <= level)
    return found
