"""The ways to search a pair of the database: all schedules within a bound, or drawn ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_stress_explore.core.protocol import BadRequest, Request, number_in
from airflow_stress_explore.core.schedulers import SerialScheduler
from airflow_stress_explore.core.search import Search, Worker
from airflow_stress_explore.core.shrink import ShortestOfEach, Shrinker
from airflow_stress_explore.core.walks import Walks
from airflow_stress_explore.sql.testbed import Testbed

SCHEDULERS = ("bounded", "random", "pct")


@dataclass(frozen=True)
class Found:
    """A search, and the shortest schedule of each kind of failure that it has met."""

    schedules: Search | Walks
    shortest: ShortestOfEach

    def facts(self) -> Mapping[str, Any]:
        """What the summary says of this way of searching."""
        if isinstance(self.schedules, Search):
            return {"pruned": self.schedules.pruned, "nondeterministic": self.schedules.nondeterministic}
        return {
            "pruned": 0,
            "steps": self.schedules.steps,
            "longest": self.schedules.longest,
            "log_probability": self.schedules.log_probability,
            "probability_of_all": self.schedules.probability_of_all,
        }


def found_by(request: Request, workers: Sequence[Worker], testbed: Testbed) -> Found:
    """The search that a request asks for. Raises BadRequest."""
    name = request.get("scheduler", "bounded")
    if name not in SCHEDULERS:
        raise BadRequest(f"scheduler must be one of {', '.join(SCHEDULERS)}, and is {name!r}")
    if name == "bounded":
        bound = number_in(request, "preemptions", 2)
        search = Search(workers, testbed.names, bound, pruning=bool(request["pruning"]))
        return Found(search, ShortestOfEach())
    walks = Walks(
        workers,
        testbed.names,
        schedules=number_in(request, "schedules", 200),
        seed=number_in(request, "seed", 1),
        depth=number_in(request, "depth", 3) if name == "pct" else 0,
        steps=_most_steps(testbed),
    )
    return Found(walks, ShortestOfEach(Shrinker(testbed.play_path, testbed.names)))


def _most_steps(testbed: Testbed) -> int:
    """Of a schedule, by the serial order and its reverse."""
    orders = (testbed.names, testbed.names[::-1])
    return max(len(testbed.play(SerialScheduler(order)).choices) for order in orders)
