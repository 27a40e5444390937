"""Steps that are no statements: time that passes, the crash of a process, and the beginning of an actor.

Time and a crash are actors with one step each. Both steps conflict with every step of every other actor, because code
reads the clock, and a process can end, between any two statements. What an actor does before its first statement is
no step of a schedule: all actors have done it when the first choice is made. Where that code reads the clock, the actor
needs `beginning`, a step before everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from airflow_stress_explore.sql.access import Access, AccessSet
from airflow_stress_explore.sql.actors import EVERYTHING, take_step

_Value = TypeVar("_Value")
_NOTHING = Access(AccessSet())


def beginning(work: Callable[[], _Value]) -> Callable[[], _Value]:
    """The same work, with a step before it that conflicts with nothing but time and crashes."""

    def begun() -> _Value:
        take_step("begins", _NOTHING, lambda _outside: None)
        return work()

    return begun


def passing(what: str, advance: Callable[[], None]) -> Callable[[], str]:
    """The work of a clock: `advance` lets the time pass that `what` names, for code that reads a virtual clock."""

    def work() -> str:
        take_step(what, EVERYTHING, lambda _outside: advance())
        return "passed"

    return work


def crash_of(name: str) -> Callable[[], str]:
    """The work that ends the process of the actor with this name: the server rolls back what it has not committed."""

    def work() -> str:
        take_step(f"the process of {name} ends", EVERYTHING, lambda outside: outside.crash(name))
        return "ended"

    return work
