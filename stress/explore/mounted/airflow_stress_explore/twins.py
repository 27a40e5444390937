"""The twins: known races as a script of statements. Data only; the harness reads it, too.

A script says who goes on until what: a part of a statement (the actor stands before it then), `blocked`, or `end`. What
doesn't come (another release, a fix) ends at the actor's end, so a script is played on every release and with every
fix.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Move:
    """An actor goes on until it stands before a statement with this in it, or is blocked, or ends."""

    actor: str
    until: str = "end"
    """A regular expression; `end` and `blocked` are words of their own. A blocked actor always gives up its turn."""

    then: str = ""
    """Something done to it from outside there: `cancel` ends its statement as a timeout does."""


@dataclass(frozen=True)
class Twin:
    """A race on purpose."""

    race: str
    name: str
    summary: str
    operations: tuple[str, ...]
    state: tuple[str, ...]
    script: tuple[Move, ...]
    invariant: str
    releases: tuple[str, ...]
    """The locked releases that have the race on stock."""


_TWINS = (
    Twin(
        race="deadlock",
        name="deadlock",
        summary="a state update against a DAG version refresh (#66734)",
        operations=("state_update", "dag_version_refresh"),
        state=("running_run", "new_version"),
        script=(
            Move("A", r"pool_slots.*FROM task_instance JOIN dag_run"),
            Move("B", "blocked"),
            Move("A"),
            Move("B"),
        ),
        invariant="deadlock",
        releases=("3.2.1",),
    ),
    Twin(
        race="duplicate_callback",
        name="duplicate_callback_schedulers",
        summary="two schedulers handle one missed deadline (#64710)",
        operations=("deadline_check", "deadline_check"),
        state=("running_run", "expired_deadline"),
        script=(Move("A", r"INSERT INTO trigger "), Move("B"), Move("A")),
        invariant="duplicate",
        releases=("3.1.8", "3.2.1"),
    ),
    Twin(
        race="duplicate_callback",
        name="duplicate_callback_triggerers",
        summary="two triggerers run one callback's trigger (#64710, #72848)",
        operations=("trigger_assignment", "trigger_assignment"),
        state=("running_run", "callback_trigger", "two_triggerers"),
        script=(Move("A"), Move("B")),
        invariant="duplicate",
        releases=("3.1.8", "3.2.1", "3.3.2"),
    ),
    Twin(
        race="false_failed",
        name="false_failed",
        summary="a deadlock between two reports of success; one is stored as failed and answered 204",
        operations=("asset_update", "asset_update"),
        state=("running_run", "asset_consumers"),
        script=(
            Move("A", r"INSERT INTO asset_dag_run_queue"),
            Move("A", r"SELECT asset\.id"),
            Move("B", "blocked"),
            Move("A"),
            Move("B"),
        ),
        invariant="false_success",
        releases=("3.3.2",),
    ),
)

TWINS: dict[str, Twin] = {twin.name: twin for twin in _TWINS}


def named(race: str) -> tuple[Twin, ...]:
    """The twins that a name means: its own, or all of a race."""
    return tuple(twin for twin in _TWINS if race in (twin.race, twin.name))
