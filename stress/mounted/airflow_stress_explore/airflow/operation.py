"""What operations are given: the keys of the rows that they race on, and how they call into a release."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


class UnknownInternals(Exception):  # noqa: N818 - it says what happened
    """This release's code is not what an operation knows. The message names what is different."""


@dataclass
class Fixture:
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
    """All else that an ingredient made."""

    kept: dict[str, Any] = field(default_factory=dict)
    """What a process keeps in memory between the rounds of a periodic operation. Empty when a schedule starts."""


@dataclass(frozen=True)
class Response:
    """What the caller of an operation got: what a worker, a user or the next step of Airflow goes on with."""

    answer: str
    """`204`, `409 invalid_state`, or a word."""

    claims: tuple[tuple[str, str], ...] = ()
    """Task instances' ids to the state that the caller now believes to be stored."""

    owned: tuple[str, ...] = ()
    """Names of what the caller now believes to own alone."""

    def __str__(self) -> str:
        return self.answer


Make = Callable[[Fixture, int], Callable[[], Response]]


@dataclass(frozen=True)
class Operation:
    """A piece of Airflow as one of its processes does it, from its first statement to its last commit."""

    name: str
    summary: str
    make: Make
    """For the fixture and the number of its actor: what the actor does, anew for each schedule."""

    allowed_transitions: tuple[tuple[str, str], ...] = ()
    """Changes of a task instance's state that it may make; `*` is any, `none` is NULL."""

    periodic: bool = False
    """Part of a loop: what it leaves undone because another actor holds a row, it does in its next round."""

    row_by_row: bool = False
    """As `sql.Actor` has it."""


OPERATIONS: dict[str, Operation] = {}


def operation(
    name: str,
    summary: str,
    allowed_transitions: Iterable[tuple[str, str]] = (),
    *,
    periodic: bool = False,
    row_by_row: bool = False,
) -> Callable[[Make], Make]:
    """Register an operation."""

    def register(
        make: Callable[[Fixture, int], Callable[[], Response]],
    ) -> Callable[[Fixture, int], Callable[[], Response]]:
        OPERATIONS[name] = Operation(name, summary, make, tuple(allowed_transitions), periodic, row_by_row)
        return make

    return register


def find(module: str, name: str) -> Any:
    """An object of Airflow, by module and dotted name. Raises UnknownInternals if this release does not have it."""
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
