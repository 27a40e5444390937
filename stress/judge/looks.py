"""When a run looks at its data, and how much of its 1 % each look may spend. Fixed before the first block.

Testing after every block with a limit of 1 % each time spends more than 1 % in all: with twelve independent races 2.2 %
of simulated runs of equal arms were called `removed` at some look (`benchmarks/calibration.py --every-block`). So the
looks are part of the plan, and their levels add up to 1 %:

=====  =========  ==========================================================================================
look   level      what fits below it, with equal numbers of blocks
=====  =========  ==========================================================================================
9      1/126      every block of the control shows the race, none under test: 1 of the 126 ways to deal 5 + 4
15     0.0014     one block of the control without an incident: 9 of 6,435
20     0.00036    two of ten: 66 of 184,756
24     0.00017    three of twelve: 455 of 2,704,156
32...  halved     every third more blocks, half of what is left
=====  =========  ==========================================================================================

At each look the step-down minP test keeps the probability of any false rejection at or below the level of that look,
for any joint distribution that is exchangeable over the blocks. By the union bound (Bonferroni over looks, the simplest
of group-sequential designs; Jennison and Turnbull, "Group Sequential Methods with Applications to Clinical Trials",
2000) the probability over all looks, however many, is at most their sum. It needs no assumption about bursts.

Looks between 9 and 15 would decide nothing: 10 blocks with one clean block of the control have p = 6/252.
"""

from __future__ import annotations

ALPHA = 0.01
"""Probability of a false `removed` in a run, over all races and all looks."""

FIRST = 9
"""Blocks before the first look: with fewer no p is below 1 %."""

_PLANNED = ((FIRST, 1 / 126), (15, 0.0014), (20, 0.00036), (24, 0.00017))
_GROWTH = 4 / 3


def level_at(blocks: int) -> float | None:
    """The level of the look after this many usable blocks of both arms; None where no look is planned."""
    planned = dict(_PLANNED)
    if blocks in planned:
        return planned[blocks]
    look, spent = _PLANNED[-1][0], sum(level for _, level in _PLANNED)
    left = ALPHA - spent
    while look < blocks:
        look, left = round(look * _GROWTH), left / 2
        if look == blocks:
            return left
    return None


def looks_until(blocks: int) -> list[int]:
    """The planned looks at or before this many blocks, in order."""
    return [number for number in range(FIRST, blocks + 1) if level_at(number) is not None]


def next_look(blocks: int) -> int:
    """The first planned look after this many blocks."""
    number = max(blocks + 1, FIRST)
    while level_at(number) is None:
        number += 1
    return number
