"""The search that a request asks for, and what its summary says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from airflow_stress_explore.airflow.schedulers import found_by
from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.protocol import BadRequest
from airflow_stress_explore.core.search import Drawn, Record, Search, Verdict
from airflow_stress_explore.core.walks import Walks
from airflow_stress_explore.core.workers import InProcessWorker
from airflow_stress_explore.sql.testbed import Testbed
from tests.unit.explored import Play, writes

PROGRAMS = {"A": [writes("x")] * 3, "B": [writes("x")] * 2}


class FakeTestbed:
    """Plays a program; a schedule in which B begins between two steps of A fails."""

    names = ("A", "B")

    def play(self, scheduler: Any) -> Record:
        return Play(PROGRAMS).played_by(scheduler)

    def play_path(self, path: Sequence[str] | Drawn) -> Record:
        play = Play(PROGRAMS)
        play.start(path)
        record = play.finish()
        fails = "AB" in "".join(record.choices)[:4] and record.choices[-1] == "A"
        return Record(record.choices, record.seen, record.diverged, Verdict([Failure("mixed", "why")] if fails else []))


def found(**request: Any) -> Any:
    testbed = FakeTestbed()
    return found_by({"pruning": True, **request}, [InProcessWorker(testbed.play_path)], cast("Testbed", testbed))


def test_without_a_scheduler_the_search_is_bounded() -> None:
    it = found(preemptions=1)
    assert isinstance(it.schedules, Search)
    shortest = {it.shortest.of(tried.record).schedule for tried in it.schedules.run(60) if tried.failures}
    assert shortest == {"A1B"}
    assert set(it.facts()) == {"pruned", "nondeterministic"}


@pytest.mark.parametrize(("scheduler", "depth"), [("pct", 2), ("random", 0)])
def test_drawn_schedules_are_shrunk_and_have_their_bound(scheduler: str, depth: int) -> None:
    it = found(scheduler=scheduler, schedules=40, seed=1, depth=2)
    assert isinstance(it.schedules, Walks)
    assert (it.schedules.depth, it.schedules.steps) == (depth, 5)
    shortest = [it.shortest.of(tried.record) for tried in it.schedules.run(60) if tried.failures]
    assert {each.schedule for each in shortest} == {"A1B"}
    assert shortest[0].proved
    facts = it.facts()
    assert facts["longest"] == 5
    assert 0 < facts["probability_of_all"] <= 1


def test_another_scheduler_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match="scheduler must be one of bounded, random, pct"):
        found(scheduler="best")
