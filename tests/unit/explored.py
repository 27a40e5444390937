"""Actors that are lists of statements, and a player of their schedules: programs whose schedules are all known."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_stress_explore.core.schedule import default_choice
from airflow_stress_explore.core.schedulers import ReplayByName, Scheduler
from airflow_stress_explore.core.search import Drawn, Record
from airflow_stress_explore.core.trace import Event, Seen, Step, granted
from airflow_stress_explore.sql.access import Access, AccessSet
from airflow_stress_explore.sql.actors import EVERYTHING

Programs = Mapping[str, Sequence[tuple[str, Access]]]
"""What each actor does."""


def writes(table: str) -> tuple[str, Access]:
    return f"write {table}", Access(AccessSet(locks=frozenset({table}), writes=frozenset({table})))


def locks(table: str) -> tuple[str, Access]:
    return f"lock {table}", Access(AccessSet(locks=frozenset({table})))


def commit(*tables: str) -> tuple[str, Access]:
    return "COMMIT", Access(AccessSet(locks=frozenset(tables), writes=frozenset(tables)), ends=True)


def crash(name: str) -> tuple[str, Access]:
    """The end of another actor, as `sql.outside` has it."""
    return f"crash {name}", EVERYTHING


@dataclass
class Actor:
    """Takes its statements one after the other, and waits for those that hold what it wants until they commit."""

    name: str
    statements: Sequence[tuple[str, Access]]
    taken: int = 0
    blocked: bool = False
    held: frozenset[str] = frozenset()
    crashed: bool = False

    @property
    def done(self) -> bool:
        return self.crashed or self.taken == len(self.statements)

    @property
    def next_step(self) -> str:
        return self.step[0]

    @property
    def step(self) -> Step:
        what, access = self.statements[self.taken]
        return f"{self.taken} {what}", access

    def go_on(self, others: Sequence[Actor]) -> None:
        what, access = self.statements[self.taken]
        if what.startswith("crash "):
            for other in others:
                if other.name == what[-1]:
                    other.crashed, other.blocked, other.held = True, False, frozenset()
        wanted = access.set.locks if what.startswith("lock") else frozenset()
        self.blocked = any(wanted & other.held for other in others if other is not self)
        if not self.blocked:
            self.held = frozenset() if access.ends else self.held | wanted
            self.taken += 1


@dataclass
class Play:
    """Plays a fixed program, as the executor of statements does."""

    programs: Programs
    whole: list[str] = field(default_factory=list)
    path: Sequence[str] | Drawn = ()

    def start(self, path: Sequence[str] | Drawn) -> None:
        self.path = path

    def finish(self) -> Record:
        path = self.path
        return self.played_by(ReplayByName(path) if isinstance(path, Sequence) else path.scheduler())

    def played_by(self, scheduler: Scheduler[Actor]) -> Record:
        actors = [Actor(name, statements) for name, statements in self.programs.items()]
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
        return Record(choices, seen, isinstance(scheduler, ReplayByName) and scheduler.diverged)


def look(actors: Sequence[Actor], events: Sequence[Event]) -> Seen:
    alive = [actor for actor in actors if not actor.done]
    runnable = {actor.name: actor.step for actor in alive if not actor.blocked}
    return Seen(runnable, {actor.name: actor.step for actor in alive if actor.blocked}, tuple(events))


PROGRAMS: Mapping[str, Programs] = {
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
    "time passes": {"A": [writes("x")] * 2, "B": [writes("y")] * 2, "C": [("time passes", EVERYTHING)]},
    "one ends": {
        "A": [locks("x"), writes("y"), commit("x")],
        "B": [writes("y"), locks("x"), commit("x")],
        "C": [crash("A")],
    },
}


def all_within(programs: Programs, bound: int) -> dict[str, Record]:
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
    """How often an actor that could go on lost the turn."""
    pairs = zip(itertools.pairwise(record.choices), record.seen[1:], strict=False)
    return sum(one != following and one in seen.runnable for (one, following), seen in pairs)
