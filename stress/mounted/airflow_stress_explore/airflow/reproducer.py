"""What a reproducer is: a known race as a script of statements. Data only; the harness reads it, too.

A script says which actor goes on until what (`core.schedulers.Move`): a part of a statement (the actor is about to run
it then), `blocked`, or `end`. A statement that never comes (another release, a fix) ends the move at the actor's end,
so a script is played on every release and with every fix.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_stress_explore.airflow.pairs import Pair
from airflow_stress_explore.core.schedulers import Move


@dataclass(frozen=True)
class Reproducer:
    """A race that occurs every time."""

    race: str
    name: str
    summary: str
    operations: tuple[str, ...]
    state: tuple[str, ...]
    script: tuple[Move, ...]
    invariant: str
    """The invariant that it violates."""

    releases: tuple[str, ...]
    """The locked releases that have the race on stock."""

    fix: str
    """The fix that removes it alone."""

    also: tuple[str, ...] = ()
    """Invariants that it violates instead on some of the releases."""

    row_steps: bool = False
    """Whether statements also stop between their rows: `at row 1 of: UPDATE` is a stop of the script, then."""

    set_off_by: str = ""
    """Part of the outcome of a step without which the race cannot occur: plays that lack it say nothing of the race.

    Nor do plays in which the script's first stop is missed (`core.schedulers.ScriptedScheduler.missed`).
    """

    since: tuple[int, int] = (3, 1)
    """The first minor version of Airflow that has what the race is about."""

    @property
    def pair(self) -> Pair:
        """The operations and their starting state."""
        return Pair(self.operations, self.state, row_steps=self.row_steps)
