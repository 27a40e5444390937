"""What operations are given: the keys of the rows that they race on, and how they call into a release."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


class UnknownInternals(Exception):  # noqa: N818 - it says what happened
    """This release's code is not what an operation knows. The message names what is different."""


@dataclass
class World:
    """The starting state, by its keys."""

    release: str
    dag_id: str = "raced"
    run_id: str = "run"
    dag_run: int = 0
    instances: list[Any] = field(default_factory=list)
    """Ids of the run's task instances, by task."""

    triggers: list[int] = field(default_factory=list)
    jobs: dict[str, int] = field(default_factory=dict)
    """Ids of jobs (schedulers, triggerers), by a name."""

    facts: dict[str, Any] = field(default_factory=dict)
    """Whatever else an ingredient made."""


@dataclass(frozen=True)
class Told:
    """What the caller of an operation was told: what a worker, a user or the next step of Airflow goes on with."""

    answer: str
    """`204`, `409 invalid_state`, or a word."""

    claims: tuple[tuple[str, str], ...] = ()
    """Task instances' ids to the state that the caller now believes to be stored."""

    owned: tuple[str, ...] = ()
    """Names of what the caller now believes to be its alone."""


@dataclass(frozen=True)
class Operation:
    """A piece of Airflow as one of its processes does it, from its first statement to its last commit."""

    name: str
    summary: str
    make: Callable[[World, int], Callable[[], Told]]
    """For the world and the number of its actor: what the actor does, anew for each schedule."""

    moves: tuple[tuple[str, str], ...] = ()
    """Changes of a task instance's state that it may make; `*` is any, `none` is NULL."""

    comes_again: bool = False
    """Part of a loop: what it leaves undone because somebody else holds a row, it does next time."""

    row_by_row: bool = False
    """It decides each row by itself, and may skip rows that are locked: other operations may come before it in one row
    and after it in another. Each row must still be as in some order."""


OPERATIONS: dict[str, Operation] = {}


def operation(
    name: str,
    summary: str,
    moves: Iterable[tuple[str, str]] = (),
    *,
    comes_again: bool = False,
    row_by_row: bool = False,
) -> Callable[[Callable[[World, int], Callable[[], Told]]], Callable[[World, int], Callable[[], Told]]]:
    """Register an operation."""

    def register(make: Callable[[World, int], Callable[[], Told]]) -> Callable[[World, int], Callable[[], Told]]:
        OPERATIONS[name] = Operation(name, summary, make, tuple(moves), comes_again, row_by_row)
        return make

    return register


def find(module: str, name: str) -> Any:
    """Something of Airflow's, by module and dotted name. Raises UnknownInternals if this release hasn't it."""
    import importlib

    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise UnknownInternals(f"there is no module {module}: {error}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise UnknownInternals(f"{module} has no {name}")
        found = getattr(found, part)
    return found


def supply(function: Callable[..., Any], **values: Any) -> Any:
    """Call a function with those of the values that it takes. Raises UnknownInternals if it wants others, too."""
    parameters = inspect.signature(function).parameters
    missing = [
        name
        for name, parameter in parameters.items()
        if name not in values
        and parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if missing:
        raise UnknownInternals(f"{function.__qualname__} wants {', '.join(missing)}, which the operation doesn't know")
    return function(**{name: value for name, value in values.items() if name in parameters})
