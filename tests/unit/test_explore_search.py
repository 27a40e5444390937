"""The search, on actors that are lists of statements: nothing is missed, nothing is tried twice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_stress_explore.engine import Abandoned, Step
from airflow_stress_explore.explore import BadSchedule, Search, Trace, read, replay, write
from airflow_stress_explore.footprint import Footprint, Touch


def writes(table: str) -> tuple[str, Touch]:
    return f"write {table}", Touch(Footprint(locks=frozenset({table}), writes=frozenset({table})))


@dataclass
class Actor:
    """Takes its statements one after the other; never blocks."""

    name: str
    statements: Sequence[tuple[str, Touch]]
    taken: int = 0

    @property
    def pending(self) -> Step | None:
        if self.taken == len(self.statements):
            return None
        what, touch = self.statements[self.taken]
        return Step(self.name, "", f"{self.taken} {what}", touch)


@dataclass
class Play:
    """Plays a fixed program under a policy, as the engine does."""

    programs: dict[str, Sequence[tuple[str, Touch]]]
    whole: list[str] = field(default_factory=list)

    def __call__(self, policy: Any) -> Any:
        actors = [Actor(name, statements) for name, statements in self.programs.items()]
        engine = SimpleNamespace(actors=actors, steps=[])
        current = None
        while standing := [actor for actor in actors if actor.pending is not None]:
            try:
                current = policy.choose(engine, standing, current)
            except Abandoned:
                return None
            assert current is not None
            engine.steps.append(current.pending)
            current.taken += 1
        self.whole.append("".join(step.actor for step in engine.steps))
        return engine


def preemptions(schedule: str, lengths: dict[str, int]) -> int:
    """How often somebody who could go on lost the turn."""
    left = dict(lengths)
    count = 0
    for one, following in itertools.pairwise(schedule):
        left[one] -= 1
        count += one != following and left[one] > 0
    return count


def signature(schedule: str, programs: dict[str, Sequence[tuple[str, Touch]]]) -> frozenset[tuple[str, int]]:
    """The kind of a schedule."""
    trace = Trace()
    taken = dict.fromkeys(programs, 0)
    for name in schedule:
        what, touch = programs[name][taken[name]]
        trace.add(name, f"{taken[name]} {what}", touch)
        taken[name] += 1
    return frozenset(trace.last.items())


PROGRAMS: list[dict[str, Sequence[tuple[str, Touch]]]] = [
    {"A": [writes("x")] * 3, "B": [writes("x")] * 3},
    {"A": [writes("x"), writes("y"), writes("z")], "B": [writes("z"), writes("v"), writes("x")]},
    {"A": [writes("x")] * 2, "B": [writes("y"), writes("x")], "C": [writes("y")] * 2},
    {"A": [writes("x")] * 4, "B": [writes("y")] * 4},
]


@pytest.mark.parametrize("bound", [0, 1, 2, 9])
@pytest.mark.parametrize("programs", PROGRAMS, ids=["all depend", "few depend", "three actors", "none depends"])
def test_every_kind_of_schedule_within_the_bound_is_tried(
    programs: dict[str, Sequence[tuple[str, Touch]]], bound: int
) -> None:
    play = Play(programs)
    search = Search(play, list(programs), bound)
    tried = list(search.run(60))

    lengths = {name: len(statements) for name, statements in programs.items()}
    letters = "".join(name * length for name, length in lengths.items())
    possible = {"".join(order) for order in itertools.permutations(letters)}
    within = {schedule for schedule in possible if preemptions(schedule, lengths) <= bound}
    assert search.exhausted
    assert len(tried) == search.tried == len({signature(s, programs) for s in play.whole})
    assert set(play.whole) <= within
    assert {signature(s, programs) for s in play.whole} == {signature(s, programs) for s in within}


def test_what_depends_on_nothing_is_tried_once() -> None:
    play = Play(PROGRAMS[3])
    search = Search(play, ["A", "B"], 9)
    assert len(list(search.run(60))) == 1
    assert search.pruned > 0


def test_fewer_preemptions_come_first() -> None:
    play = Play(PROGRAMS[0])
    list(Search(play, ["A", "B"], 2).run(60))
    counts = [preemptions(schedule, {"A": 3, "B": 3}) for schedule in play.whole]
    assert counts == sorted(counts)


def test_a_search_whose_time_is_over_is_not_exhausted() -> None:
    search = Search(Play(PROGRAMS[0]), ["A", "B"], 2)
    assert list(search.run(-1)) == []
    assert not search.exhausted


@pytest.mark.parametrize("bound", [1, 2])
def test_a_schedule_s_string_plays_it_again(bound: int) -> None:
    play = Play(PROGRAMS[1])
    tried = {found.schedule: play.whole[-1] for found in Search(play, ["A", "B"], bound).run(60)}
    for string, whole in tried.items():
        assert not replay(play, string).diverged
        assert play.whole[-1] == whole


@pytest.mark.parametrize(("choices", "text"), [("A", "A"), ("AAAAB", "A4B"), ("ABBA", "A1B2A")])
def test_a_string_is_runs_of_steps(choices: str, text: str) -> None:
    assert write(list(choices)) == text
    assert read(text) == list(choices)


@pytest.mark.parametrize("text", ["", "4A", "a3", "AB3", "A3-B"])
def test_what_is_no_schedule_is_told_so(text: str) -> None:
    with pytest.raises(BadSchedule, match="is no schedule"):
        read(text)
