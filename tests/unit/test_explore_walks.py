"""Schedules that are drawn: the same for a seed, and a failure is met as often as PCT promises."""

from __future__ import annotations

import math

import pytest

from airflow_stress_explore.core.walks import Walk, Walks
from tests.unit.explored import Play, writes

CONFLICTING = {"A": [writes("x")] * 4, "B": [writes("x")] * 4, "C": [writes("x")] * 4}


def walks(depth: int, schedules: int = 300, seed: int = 1, workers: int = 1) -> tuple[Walks, list[str]]:
    plays = [Play(CONFLICTING) for _ in range(workers)]
    drawn = Walks(plays, list(CONFLICTING), schedules, seed, depth, steps=12)
    return drawn, ["".join(tried.record.choices) for tried in drawn.run(60)]


@pytest.mark.parametrize("depth", [0, 3])
def test_a_seed_gives_the_same_schedules_however_many_play(depth: int) -> None:
    assert walks(depth)[1] == walks(depth, workers=3)[1] != walks(depth, seed=2)[1]


@pytest.mark.parametrize("depth", [0, 3])
def test_each_class_is_given_once(depth: int) -> None:
    drawn, tried = walks(depth)
    assert drawn.played == 300 > drawn.tried == len(tried) == len(set(tried)) > 1
    assert drawn.exhausted
    assert drawn.longest == 12


@pytest.mark.parametrize(
    ("depth", "constraints"),
    [
        (1, [("C1", "A1")]),
        (2, [("A2", "B1"), ("B4", "A3")]),
        (3, [("A2", "B1"), ("B2", "C1"), ("C3", "A3")]),
    ],
)
def test_pct_meets_a_failure_of_a_depth_as_often_as_it_promises(depth: int, constraints: list[tuple[str, str]]) -> None:
    """A failure is a set of orders: A's second step before B's first, and so on."""
    schedules = 600
    least = math.exp(Walks([], list(CONFLICTING), schedules, 5, depth, steps=12).log_probability)
    met = sum(
        _holds("".join(Play(CONFLICTING).played_by(Walk(("A", "B", "C"), 5, at, depth, 12).scheduler()).choices),
               constraints)
        for at in range(schedules)
    )  # fmt: skip
    assert least == pytest.approx(1 / (3 * 12 ** (depth - 1)))
    spread = math.sqrt(least * (1 - least) / schedules)
    assert met / schedules >= least - 3 * spread


def _holds(choices: str, constraints: list[tuple[str, str]]) -> bool:
    def at(step: str) -> int:
        places = [place for place, name in enumerate(choices) if name == step[0]]
        return places[int(step[1:]) - 1]

    return all(at(one) < at(other) for one, other in constraints)


def test_the_probability_of_all_grows_with_the_schedules() -> None:
    few, many = walks(2, 10)[0], walks(2, 100)[0]
    assert 0 < few.probability_of_all < many.probability_of_all < 1
    assert many.probability_of_all == pytest.approx(1 - (1 - 1 / 36) ** 100)


def test_a_uniform_walk_promises_next_to_nothing() -> None:
    drawn, _ = walks(0)
    assert drawn.log_probability == pytest.approx(-12 * math.log(3))


def test_the_time_that_is_over_ends_the_drawing() -> None:
    drawn = Walks([Play(CONFLICTING)], list(CONFLICTING), 10, 1, 3, 12)
    assert list(drawn.run(-1)) == []
    assert not drawn.exhausted
