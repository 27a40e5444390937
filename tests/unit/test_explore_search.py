"""The search, on actors that are lists of statements: nothing is missed, nothing is tried twice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from airflow_stress_explore.core.schedule import decode, default_choice
from airflow_stress_explore.core.schedulers import ReplayByName
from airflow_stress_explore.core.search import Record, Search
from airflow_stress_explore.core.trace import Event, Seen, Step, Trace, granted
from airflow_stress_explore.sql.access import Access, AccessSet


def writes(table: str) -> tuple[str, Access]:
    return f"write {table}", Access(AccessSet(locks=frozenset({table}), writes=frozenset({table})))


def locks(table: str) -> tuple[str, Access]:
    return f"lock {table}", Access(AccessSet(locks=frozenset({table})))


def commit(*tables: str) -> tuple[str, Access]:
    return "COMMIT", Access(AccessSet(locks=frozenset(tables), writes=frozenset(tables)), ends=True)


@dataclass
class Actor:
    """Takes its statements one after the other, and waits for those that hold what it wants until they commit."""

    name: str
    statements: Sequence[tuple[str, Access]]
    taken: int = 0
    blocked: bool = False
    held: frozenset[str] = frozenset()

    @property
    def done(self) -> bool:
        return self.taken == len(self.statements)

    @property
    def step(self) -> Step:
        what, access = self.statements[self.taken]
        return f"{self.taken} {what}", access

    def go_on(self, others: Sequence[Actor]) -> None:
        what, access = self.statements[self.taken]
        wanted = access.set.locks if what.startswith("lock") else frozenset()
        self.blocked = any(wanted & other.held for other in others if other is not self)
        if not self.blocked:
            self.held = frozenset() if access.ends else self.held | wanted
            self.taken += 1


@dataclass
class Play:
    """Plays a fixed program, as the executor of statements does."""

    programs: dict[str, Sequence[tuple[str, Access]]]
    whole: list[str] = field(default_factory=list)
    path: Sequence[str] = ()

    def start(self, path: Sequence[str]) -> None:
        self.path = path

    def finish(self) -> Record:
        actors = [Actor(name, statements) for name, statements in self.programs.items()]
        scheduler = ReplayByName(self.path)
        choices: list[str] = []
        seen: list[Seen] = []
        events: list[Event] = []
        current: Actor | None = None
        while runnable := {actor.name: actor for actor in actors if not (actor.done or actor.blocked)}:
            seen.append(look(actors, events))
            first = default_choice(runnable, current.name if current is not None else None)
            options = [runnable.pop(first), *runnable.values()]
            current = options[scheduler.choose(options, options[0] is current)]
            choices.append(current.name)
            step = current.step
            current.go_on(actors)
            events = [granted(current.name, step)] if current.blocked else []
            for actor in actors:
                if actor.blocked and actor is not current:
                    actor.go_on(actors)
        seen.append(look(actors, events))
        self.whole.append("".join(choices))
        return Record(choices, seen, scheduler.diverged)


def look(actors: Sequence[Actor], events: Sequence[Event]) -> Seen:
    alive = [actor for actor in actors if not actor.done]
    runnable = {actor.name: actor.step for actor in alive if not actor.blocked}
    return Seen(runnable, {actor.name: actor.step for actor in alive if actor.blocked}, tuple(events))


def search_of(play: Play, bound: int, workers: int = 1) -> Search:
    return Search([play, *(replace(play) for _ in range(1, workers))], list(play.programs), bound)


PROGRAMS: dict[str, dict[str, Sequence[tuple[str, Access]]]] = {
    "all depend": {"A": [writes("x")] * 3, "B": [writes("x")] * 3},
    "few depend": {"A": [writes("x"), writes("y"), writes("z")], "B": [writes("z"), writes("v"), writes("x")]},
    "three actors": {"A": [writes("x")] * 2, "B": [writes("y"), writes("x")], "C": [writes("y")] * 2},
    "none depends": {"A": [writes("x")] * 4, "B": [writes("y")] * 4},
    "one takes no step": {"A": [writes("x")] * 2, "B": [], "C": [writes("x")] * 2},
    "the first takes no step": {"A": [], "B": [writes("x")] * 2, "C": [writes("x")] * 2},
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


def all_within(programs: dict[str, Sequence[tuple[str, Access]]], bound: int) -> dict[str, Record]:
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
                choices[:position] + other for other in record.seen[position].runnable if other != choices[position]
            ]
    return found


def preemptions(record: Record) -> int:
    """How often somebody who could go on lost the turn."""
    pairs = zip(itertools.pairwise(record.choices), record.seen[1:], strict=False)
    return sum(one != following and one in seen.runnable for (one, following), seen in pairs)


def kind(record: Record) -> int:
    """The same for all schedules that differ in the order of independent steps."""
    trace = Trace()
    for name, before, after in zip(record.choices, record.seen, record.seen[1:], strict=False):
        trace.follow(name, before.runnable[name], after.events)
    return trace.signature("")


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("bound", [0, 1, 2, 9])
@pytest.mark.parametrize("programs", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_every_kind_of_schedule_within_the_bound_is_tried_once(
    programs: dict[str, Sequence[tuple[str, Access]]], bound: int, workers: int
) -> None:
    play = Play(programs)
    search = search_of(play, bound, workers)
    tried = list(search.run(60))

    within = all_within(programs, bound)
    kinds = [kind(found.record) for found in tried]
    assert search.exhausted
    assert search.nondeterministic == []
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
        {kind(tried.record) for tried in search_of(Play(PROGRAMS["one waits"]), bound, workers).run(60)}
        for workers in (1, 2, 3)
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
    assert search.nondeterministic[0].endswith("A stands before 1 write x, and another time stands before 1 write y")


def test_what_depends_on_nothing_is_tried_once() -> None:
    play = Play(PROGRAMS["none depends"])
    search = search_of(play, 9)
    assert len(list(search.run(60))) == 1
    assert search.pruned > 0


def test_the_order_of_plain_reads_is_no_surprise() -> None:
    reads = [(what, Access(AccessSet(reads=frozenset({what})))) for what in ("x", "y")]
    play = Play({"A": [writes("v"), *reads, writes("v")], "B": [writes("v")] * 2})
    search = search_of(play, 2)
    schedules = search.run(60)
    next(schedules)
    play.programs["A"] = [writes("v"), *reversed(reads), writes("v")]
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
