"""What a fault is: something that breaks a cluster for a while, and its undo.

A fault is made of the cluster's primitives (`cluster.base`), so that it does not know on which runtime it is; which
runtimes have the means for it is data. It is drawn whole before the block begins (`PlannedFault`: when, at what, how
long, how strong), so that a seed gives the same faults again. Most last for a time and are then undone; a **blow**
lasts no time by itself (0 s), and what it broke mends itself: a component that was killed is started again.

A new fault is a file with one class in it and a line in `__init__.py`; `kill.py` is the shortest.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

from stress.cluster.base import Cluster
from stress.components import NAMES


@dataclass(frozen=True)
class Invariants:
    """What each invariant may do while a fault lasts and after it: whatever else happens is the checkers' to judge."""

    callback: str = "may be late; never lost, never twice"
    task: str = "may be late, or tried again by Airflow's own rules; never stuck"
    component: str = "healthy again within 60 s of the last fault's end"


@dataclass(frozen=True)
class PlannedFault:
    """One fault as it was drawn. `number` counts a block's faults from 0; `at_s` is the time of load."""

    number: int
    at_s: float
    fault: str
    target: str
    seconds: float
    """How long it lasts; 0 for a blow."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """The fault's own, with the unit in the name."""

    @property
    def detail(self) -> str:
        """Its own numbers, in words."""
        return ", ".join(f"{name}={value:g}" for name, value in self.numbers.items())


class Fault(ABC):
    """One kind of fault."""

    name: ClassVar[str]
    """As on the command line and in metrics: one short word."""
    summary: ClassVar[str]
    runtimes: ClassVar[tuple[str, ...]]
    """Those that have the means."""
    invariants: ClassVar[Invariants] = Invariants()
    targets: ClassVar[tuple[str, ...]] = NAMES
    """What it can hit."""
    shortest_s: ClassVar[float] = 0.0
    longest_s: ClassVar[float] = 0.0
    """Lengths between these two are drawn evenly by their logarithm; 0 and 0: a blow."""

    def seconds(self, random: Random, room_s: float) -> float:
        """A length that fits into `room_s`, of which there must be at least `shortest_s`."""
        if self.longest_s == 0.0:
            return 0.0
        longest_s = min(self.longest_s, room_s)
        return math.exp(random.uniform(math.log(self.shortest_s), math.log(longest_s)))

    def numbers(self, random: Random) -> Mapping[str, float]:  # noqa: ARG002 - most have none to draw
        """The fault's own numbers."""
        return {}

    @abstractmethod
    def inject(self, cluster: Cluster, planned: PlannedFault) -> None:
        """Break it. Its undo is registered by now. Raises ComponentFailed if the target has just ended by itself, or
        another ClusterError."""

    def heal(self, cluster: Cluster, planned: PlannedFault) -> None:  # noqa: B027 - a blow has nothing to undo
        """Undo it. May be called when nothing was broken yet, and when the target has been started anew."""
