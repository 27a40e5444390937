"""The explorer's starting states and operations, for parties: what a process does, on rows that it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parties import Party

from airflow_stress_explore.airflow import (
    fixtures,
    operations,  # noqa: F401 - registers them
)
from airflow_stress_explore.airflow.operation import OPERATIONS, Fixture


def state(release: str, *ingredients: str) -> Fixture:
    """A starting state of the explorer, in the database of this test."""
    return fixtures.build(ingredients, release)


def work(fixture: Fixture, operation: str, number: int = 0) -> Callable[[], Any]:
    """What an actor of the explorer does; `number` is the process that it stands for."""
    return OPERATIONS[operation].make(fixture, number)


def party(fixture: Fixture, operation: str, number: int = 0) -> Party:
    """The same as a party."""
    return Party(operation, work(fixture, operation, number))
