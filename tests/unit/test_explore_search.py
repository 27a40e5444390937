"""The search, on actors that are lists of statements: nothing is missed, nothing is tried twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from airflow_stress_explore.core.schedule import decode
from airflow_stress_explore.core.search import Search, class_of
from airflow_stress_explore.sql.access import Access, AccessSet
from tests.unit.explored import PROGRAMS, Play, Programs, all_within, preemptions, writes


def search_of(play: Play, bound: int, workers: int = 1) -> Search:
    return Search([play, *(replace(play) for _ in range(1, workers))], list(play.programs), bound)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("bound", [0, 1, 2, 9])
@pytest.mark.parametrize("programs", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_every_kind_of_schedule_within_the_bound_is_tried_once(programs: Programs, bound: int, workers: int) -> None:
    play = Play(programs)
    search = search_of(play, bound, workers)
    tried = list(search.run(60))

    within = all_within(programs, bound)
    kinds = [class_of(found.record) for found in tried]
    assert search.exhausted
    assert search.nondeterministic == []
    assert len(kinds) == len(set(kinds)) == search.tried
    assert set(play.whole) <= within.keys()
    assert set(kinds) == {class_of(record) for record in within.values()}


def test_what_follows_from_what_was_seen_is_not_played() -> None:
    play = Play(PROGRAMS["few depend"])
    search = search_of(play, 9)
    list(search.run(60))
    assert search.played == len(play.whole) == search.tried
    assert search.pruned > search.tried


def test_without_pruning_every_order_is_played() -> None:
    play = Play(PROGRAMS["one waits"])
    search = Search([play], list(play.programs), 2, pruning=False)
    kinds = {class_of(tried.record) for tried in search.run(60)}
    within = all_within(play.programs, 2)
    assert set(play.whole) == within.keys()
    assert kinds == {class_of(record) for record in within.values()}
    assert search.played > search.tried == len(kinds)


@pytest.mark.parametrize("bound", [1, 2])
def test_the_same_search_however_many_play(bound: int) -> None:
    found = [
        {class_of(tried.record) for tried in search_of(Play(PROGRAMS["one waits"]), bound, workers).run(60)}
        for workers in (1, 2, 3)
    ]
    assert found[0] == found[1] == found[2]


def test_a_step_that_comes_to_something_else_is_told() -> None:
    """As when the time of day, or a value left in the process, decides what an actor does next."""
    programs: dict[str, Sequence[tuple[str, Access]]] = {"A": [writes("x")] * 2, "B": [writes("x")] * 2}
    search = search_of(Play(programs), 2)
    schedules = search.run(60)
    next(schedules)
    programs["A"] = [writes("x"), writes("y")]
    list(schedules)
    assert search.nondeterministic[0].endswith("A stands before 1 write x, and another time stands before 1 write y")


def test_what_depends_on_nothing_is_tried_once() -> None:
    play = Play(PROGRAMS["none depends"])
    search = search_of(play, 9)
    assert len(list(search.run(60))) == 1
    assert search.pruned > 0


def test_the_order_of_plain_reads_is_no_surprise() -> None:
    reads = [(what, Access(AccessSet(reads=frozenset({what})))) for what in ("x", "y")]
    programs: dict[str, Sequence[tuple[str, Access]]] = {
        "A": [writes("v"), *reads, writes("v")],
        "B": [writes("v")] * 2,
    }
    search = search_of(Play(programs), 2)
    schedules = search.run(60)
    next(schedules)
    programs["A"] = [writes("v"), *reversed(reads), writes("v")]
    list(schedules)
    assert search.nondeterministic == []


def test_fewer_preemptions_come_first() -> None:
    counts = [preemptions(tried.record) for tried in search_of(Play(PROGRAMS["all depend"]), 2).run(60)]
    assert counts == sorted(counts)
    assert counts[-1] == 2


def test_a_search_whose_time_is_over_is_not_exhausted() -> None:
    search = search_of(Play(PROGRAMS["all depend"]), 2)
    assert list(search.run(-1)) == []
    assert not search.exhausted


@pytest.mark.parametrize("bound", [1, 2])
def test_a_schedule_s_string_plays_it_again(bound: int) -> None:
    play = Play(PROGRAMS["few depend"])
    for tried in search_of(play, bound).run(60):
        play.start(decode(tried.schedule))
        again = play.finish()
        assert not again.diverged
        assert again.choices == tried.record.choices
