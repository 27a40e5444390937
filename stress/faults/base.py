"""The interface of a fault: it breaks a cluster for a while, and has an undo.

A fault uses the cluster's primitives (`cluster.base`), so that it does not depend on the runtime; the runtimes that
support it are data. It is drawn completely before the block begins (`PlannedFault`: time, target, duration, strength),
so that a seed repeats the same faults. Most last for a time and are then undone; an **instantaneous** fault has a
duration of 0 s and needs no undo: a component that was killed is started again.

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
    """What may happen to each invariant during and after a fault. The checkers judge everything else."""

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
    """Its duration; 0 for an instantaneous fault."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """The fault's parameters, with the unit in the name."""

    @property
    def detail(self) -> str:
        """Its parameters, in words."""
        return ", ".join(f"{name}={value:g}" for name, value in self.numbers.items())


class Fault(ABC):
    """One kind of fault."""

    name: ClassVar[str]
    """Its name on the command line and in metrics: one short word."""
    summary: ClassVar[str]
    runtimes: ClassVar[tuple[str, ...]]
    """The runtimes that support it."""
    invariants: ClassVar[Invariants] = Invariants()
    targets: ClassVar[tuple[str, ...]] = NAMES
    """What it can hit."""
    shortest_s: ClassVar[float] = 0.0
    longest_s: ClassVar[float] = 0.0
    """Durations between these two are drawn evenly by their logarithm; 0 and 0: an instantaneous fault."""

    def seconds(self, random: Random, room_s: float) -> float:
        """A length that fits into `room_s`, of which there must be at least `shortest_s`."""
        if self.longest_s == 0.0:
            return 0.0
        longest_s = min(self.longest_s, room_s)
        return math.exp(random.uniform(math.log(self.shortest_s), math.log(longest_s)))

    def numbers(self, random: Random) -> Mapping[str, float]:  # noqa: ARG002 - most have none to draw
        """The fault's parameters."""
        return {}

    @abstractmethod
    def inject(self, cluster: Cluster, planned: PlannedFault) -> None:
        """Inject the fault. Its undo is already registered. Raises ComponentFailed if the target has just ended by
        itself, or another ClusterError."""

    def heal(self, cluster: Cluster, planned: PlannedFault) -> None:  # noqa: B027 - a blow has nothing to undo
        """Undo it. May be called when nothing was broken yet, and when the target has been started anew."""
