"""The faults of a block and their times, drawn from the plan before the block begins.

    load  |--lead--|~gap~[pause 4.1 s]~~gap~~kill~gap~[pause 0.02 s]~~ ... ~|--tail--|

A function of seed, turn, kinds and length alone. A turn is one block of every arm, so that all arms meet the same
faults at the same times; the next turn's are others. One fault at a time, gaps of random length between them. Kinds
come in shuffled rounds, so that each comes once before one comes twice; in the first round every fault leaves room
for those that have not come yet, which cuts off the longest lengths. All are over before the load ends.

The times are when a fault is due. It is injected at the harness's next look, but not before the previous one is over or
while its target is down.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from stress.faults import FAULTS
from stress.faults.base import PlannedFault

LEAD_S = 3.0
"""Undisturbed load at the beginning."""
TAIL_S = 3.0
"""And at the end."""
_LEAST_GAP_S = 2.0
_MOST_GAP_S = 12.0
"""A component that was killed needs about ten seconds of a small machine to be back."""
_ROOM_S = 1.0
"""Reserved for each fault that has not come yet; no fault's shortest duration is longer."""


def least_load_s(faults: Sequence[str]) -> float:
    """The shortest load in which every one of these kinds comes."""
    return LEAD_S + TAIL_S + len(set(faults)) * (_LEAST_GAP_S + _ROOM_S)


def schedule(seed: int, turn: int, faults: Sequence[str], load_s: float) -> tuple[PlannedFault, ...]:
    """The faults of a turn's blocks, in their order."""
    random = Random(f"{seed}/{turn}")  # noqa: S311 - a seed must give the same again
    kinds = sorted(set(faults))  # so that the order in which they were asked for does not matter
    end_s = load_s - TAIL_S
    if not kinds:
        return ()
    most_gap_s = min(_MOST_GAP_S, max(_LEAST_GAP_S, (end_s - LEAD_S) / len(kinds) - _ROOM_S))
    planned: list[PlannedFault] = []
    round_: list[str] = []
    clock_s = LEAD_S
    while True:
        if not round_:
            round_ = random.sample(kinds, len(kinds))
        fault = FAULTS[round_.pop()]
        at_s = clock_s + random.uniform(most_gap_s / 3, most_gap_s)
        waiting = len(round_) if len(planned) < len(kinds) else 0
        room_s = end_s - at_s - waiting * (most_gap_s + _ROOM_S)
        if room_s < fault.shortest_s:
            return tuple(planned)
        seconds = fault.seconds(random, room_s)
        target = random.choice(fault.targets)
        numbers = fault.numbers(random)
        planned.append(PlannedFault(len(planned), round(at_s, 3), fault.name, target, round(seconds, 3), numbers))
        clock_s = at_s + seconds
