"""A component's network is slow and loses packets (netem)."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from stress.cluster.base import Cluster
from stress.faults.base import Fault, Invariants, PlannedFault


class Slow(Fault):
    """What a component sends is delayed, by an amount that varies, and some of it is lost and sent again.

    Transactions stay open for longer, so that races have more room. Delays stay below every timeout: a deadline's
    callback may be late, never lost and never twice; a task may be late, never stuck.
    """

    name = "slow"
    summary = "delay what a component sends, and lose some of it"
    runtimes = ("compose",)
    invariants = Invariants(task="may be late; never stuck")
    shortest_s = 1.0
    longest_s = 20.0

    def numbers(self, random: Random) -> Mapping[str, float]:
        delay_ms = round(random.uniform(5.0, 120.0), 1)
        return {
            "delay_ms": delay_ms,
            "jitter_ms": round(random.uniform(0.0, delay_ms / 2), 1),
            "loss_percent": round(random.uniform(0.0, 3.0), 1),
        }

    def inject(self, cluster: Cluster, planned: PlannedFault) -> None:
        numbers = planned.numbers
        cluster.slow(planned.target, numbers["delay_ms"], numbers["jitter_ms"], numbers["loss_percent"])

    def heal(self, cluster: Cluster, planned: PlannedFault) -> None:
        cluster.restore_network(planned.target)
