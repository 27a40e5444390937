"""When a run ends. Pure.

A run ends when every race that it was asked for is decided, or when its budget cannot hold another block; it takes the
first turn of every arm even with a small budget, because without it there is nothing to compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FIRST_BLOCK_COST_S = 75.0
"""The assumed duration of a block before one has run."""


@dataclass(frozen=True)
class StopRule:
    """The part of a plan that says when its run ends. `whole_budget`: a decision does not end the run."""

    arms: int
    budget_s: float
    whole_budget: bool = False

    def goes_on(self, costs_s: Sequence[float], elapsed_s: float, *, decided: bool) -> bool:
        """Whether another block is run, after blocks that took `costs_s`, `elapsed_s` after the run's beginning."""
        if len(costs_s) < self.arms:
            return True
        if decided and not self.whole_budget:
            return False
        return elapsed_s + max(costs_s[-2:], default=FIRST_BLOCK_COST_S) <= self.budget_s
