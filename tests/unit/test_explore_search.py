"""The search, on actors that are lists of statements: nothing is missed, nothing is tried twice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_stress_explore.engine import Phase, Step
from airflow_stress_explore.explore import BadSchedule, Record, Search, read, write
from airflow_stress_explore.footprint import Footprint, Touch
from airflow_stress_explore.foresight import Trace
from airflow_stress_explore.policies import Path


def writes(table: str) -> tuple[str, Touch]:
    return f"write {table}", Touch(Footprint(locks=frozenset({table}), writes=frozenset({table})))


def locks(table: str) -> tuple[str, Touch]:
    return f"lock {table}", Touch(Footprint(locks=frozenset({table})))


def commit(*tables: str) -> tuple[str, Touch]:
    return "COMMIT", Touch(Footprint(locks=frozenset(tables), writes=frozenset(tables)), ends=True)


@dataclass
class Actor:
    """Takes its statements one after the other, and waits for those who hold what it wants until they commit."""

    name: str
    statements: Sequence[tuple[str, Touch]]
    taken: int = 0
    blocked: bool = False
    held: frozenset[str] = frozenset()

    @property
    def phase(self) -> Phase:
        return Phase.BLOCKED if self.blocked else Phase.STANDS if self.pending is not None else Phase.DONE

    @property
    def pending(self) -> Step | None:
        if self.taken == len(self.statements):
            return None
        what, touch = self.statements[self.taken]
        return Step(self.name, "", f"{self.taken} {what}", touch)

    def go_on(self, others: Sequence[Actor]) -> None:
        what, touch = self.statements[self.taken]
        wanted = touch.footprint.locks if what.startswith("lock") else frozenset()
        self.blocked = any(wanted & other.held for other in others if other is not self)
        if not self.blocked:
            self.held = frozenset() if touch.ends else self.held | wanted
            self.taken += 1


@dataclass
class Play:
    """Plays a fixed program, as the engine does."""

    programs: dict[str, Sequence[tuple[str, Touch]]]
    whole: list[str] = field(default_factory=list)
    path: Sequence[str] = ()

    def start(self, path: Sequence[str]) -> None:
        self.path = path

    def finish(self) -> Record:
        actors = [Actor(name, statements) for name, statements in self.programs.items()]
        engine: Any = SimpleNamespace(actors=actors, steps=[], errors=[])
        policy = Path(self.path)
        current: Any = None
        while standing := [actor for actor in actors if actor.phase is Phase.STANDS]:
            current = policy.choose(engine, standing, current)  # type: ignore[arg-type]
            step = current.pending
            engine.steps.append(step)
            current.go_on(actors)
            step.waited_for = "somebody" if current.blocked else None
            for actor in actors:
                if actor.blocked and actor is not current:
                    actor.go_on(actors)
        self.whole.append("".join(policy.choices))
        return policy.record(engine, None)


def search_of(play: Play, bound: int, players: int = 1) -> Search:
    return Search([play, *(replace(play) for _ in range(1, players))], list(play.programs), bound)


PROGRAMS: dict[str, dict[str, Sequence[tuple[str, Touch]]]] = {
    "all depend": {"A": [writes("x")] * 3, "B": [writes("x")] * 3},
    "few depend": {"A": [writes("x"), writes("y"), writes("z")], "B": [writes("z"), writes("v"), writes("x")]},
    "three actors": {"A": [writes("x")] * 2, "B": [writes("y"), writes("x")], "C": [writes("y")] * 2},
    "none depends": {"A": [writes("x")] * 4, "B": [writes("y")] * 4},
    "one waits": {
        "A": [writes("v"), locks("x"), writes("y"), commit("x"), writes("v")],
        "B": [locks("x"), writes("v"), commit("x")],
    },
    "two wait": {
        "A": [locks("x"), writes("y"), commit("x")],
        "B": [writes("y"), locks("x"), commit("x")],
        "C": [locks("x"), commit("x")],
    },
}


def all_within(programs: dict[str, Sequence[tuple[str, Touch]]], bound: int) -> dict[str, Record]:
    """Every schedule with at most so many preemptions, none left out, by its choices."""
    found: dict[str, Record] = {}
    waiting = [""]
    while waiting:
        play = Play(programs)
        path = waiting.pop()
        play.start(path)
        record = play.finish()
        choices = "".join(record.choices)
        if preemptions(record) <= bound:
            found[choices] = record
        for position in range(len(path), len(choices)):
            waiting += [
                choices[:position] + other for other in record.seen[position].standing if other != choices[position]
            ]
    return found


def preemptions(record: Record) -> int:
    """How often somebody who could go on lost the turn."""
    pairs = zip(itertools.pairwise(record.choices), record.seen[1:], strict=False)
    return sum(one != following and one in seen.standing for (one, following), seen in pairs)


def kind(record: Record) -> int:
    """The same for all schedules that differ in the order of independent steps."""
    trace = Trace()
    for name, before, after in zip(record.choices, record.seen, record.seen[1:], strict=False):
        trace.follow(name, before.standing[name], after.besides)
    return trace.signature("")


@pytest.mark.parametrize("players", [1, 3])
@pytest.mark.parametrize("bound", [0, 1, 2, 9])
@pytest.mark.parametrize("programs", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_every_kind_of_schedule_within_the_bound_is_tried_once(
    programs: dict[str, Sequence[tuple[str, Touch]]], bound: int, players: int
) -> None:
    play = Play(programs)
    search = search_of(play, bound, players)
    tried = list(search.run(60))

    within = all_within(programs, bound)
    kinds = [kind(found.record) for found in tried]
    assert search.exhausted
    assert search.foresight.surprises == []
    assert len(kinds) == len(set(kinds)) == search.tried
    assert set(play.whole) <= within.keys()
    assert set(kinds) == {kind(record) for record in within.values()}


def test_what_follows_from_what_was_seen_is_not_played() -> None:
    play = Play(PROGRAMS["few depend"])
    search = search_of(play, 9)
    list(search.run(60))
    assert search.played == len(play.whole) == search.tried
    assert search.pruned > search.tried


def test_without_pruning_every_order_is_played() -> None:
    play = Play(PROGRAMS["one waits"])
    search = Search([play], list(play.programs), 2, pruning=False)
    kinds = {kind(tried.record) for tried in search.run(60)}
    within = all_within(play.programs, 2)
    assert set(play.whole) == within.keys()
    assert kinds == {kind(record) for record in within.values()}
    assert search.played > search.tried == len(kinds)


@pytest.mark.parametrize("bound", [1, 2])
def test_the_same_search_however_many_play(bound: int) -> None:
    found = [
        {tried.schedule for tried in search_of(Play(PROGRAMS["one waits"]), bound, players).run(60)}
        for players in (2, 2, 2)
    ]
    assert found[0] == found[1] == found[2]


def test_a_step_that_comes_to_something_else_is_told() -> None:
    """As when the time of day, or a value left in the process, decides what an actor does next."""
    play = Play({"A": [writes("x")] * 2, "B": [writes("x")] * 2})
    search = search_of(play, 2)
    schedules = search.run(60)
    next(schedules)
    play.programs["A"] = [writes("x"), writes("y")]
    list(schedules)
    assert search.foresight.surprises[0].endswith("A stands before 1 write x, and another time stands before 1 write y")


def test_what_depends_on_nothing_is_tried_once() -> None:
    play = Play(PROGRAMS["none depends"])
    search = search_of(play, 9)
    assert len(list(search.run(60))) == 1
    assert search.pruned > 0


def test_the_order_of_plain_reads_is_no_surprise() -> None:
    reads = [(what, Touch(Footprint(reads=frozenset({what})))) for what in ("x", "y")]
    play = Play({"A": [writes("v"), *reads, writes("v")], "B": [writes("v")] * 2})
    search = search_of(play, 2)
    schedules = search.run(60)
    next(schedules)
    play.programs["A"] = [writes("v"), *reversed(reads), writes("v")]
    list(schedules)
    assert search.foresight.surprises == []


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
        play.start(read(tried.schedule))
        again = play.finish()
        assert not again.diverged
        assert again.choices == tried.record.choices


@pytest.mark.parametrize(("choices", "text"), [("A", "A"), ("AAAAB", "A4B"), ("ABBA", "A1B2A")])
def test_a_string_is_runs_of_steps(choices: str, text: str) -> None:
    assert write(list(choices)) == text
    assert read(text) == list(choices)


@pytest.mark.parametrize("text", ["", "4A", "a3", "AB3", "A3-B"])
def test_what_is_no_schedule_is_told_so(text: str) -> None:
    with pytest.raises(BadSchedule, match="is no schedule"):
        read(text)
