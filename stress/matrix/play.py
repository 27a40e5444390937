"""Plays the reproducers of many races on one release. Those of one engine share a process, which takes 3 s to start."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stress.arms.releases import Release
from stress.errors import StressError
from stress.explore import options
from stress.explore.catalogue import Engine, Race
from stress.explore.repro import EACH_S, by_reproducer, request_of
from stress.explore.runner import Runner, RunnerFailed
from stress.explore.table import table
from stress.matrix.cells import State, Tried, counted

ENOUGH = 3
"""How often a race must occur for its reproducer to end before its last play."""


@dataclass(frozen=True)
class Played:
    """One reproducer on one release. `listing` shows its first play."""

    reproducer: Race
    tried: Tried
    listing: str


def play(
    release: Release, reproducers: Sequence[Race], times: int, progress: Callable[[str], None]
) -> Iterator[Played]:
    """Play each reproducer on the stock release. One that fails is an outcome, and the others are still played."""
    for each in reproducers:
        if not each.is_of(release.version):
            yield _unplayed(each, State.NOT_THERE, f"Airflow {release.version} has not yet what it is about")
    for engine in Engine:
        waiting = [each for each in reproducers if each.engine is engine and each.is_of(release.version)]
        while waiting:
            try:
                for played in _play_in_one_process(release, waiting, times, progress):
                    waiting.pop(0)
                    yield played
                if waiting:
                    raise RunnerFailed("the process ended before it played this reproducer")
            except StressError as error:
                # The process failed with the reproducer that it played; without a process all of them fail.
                failed = waiting[:1] if isinstance(error, RunnerFailed) else list(waiting)
                del waiting[: len(failed)]
                for each in failed:
                    yield _unplayed(each, State.FAILED, str(error).strip())


def _play_in_one_process(
    release: Release, reproducers: Sequence[Race], times: int, progress: Callable[[str], None]
) -> Iterator[Played]:
    runner = Runner(release, (), progress)
    request = {**request_of(reproducers, times), "enough": ENOUGH}
    lines = runner.ask(request, reproducers[0].engine, budget_s=times * EACH_S * len(reproducers))
    for plays, each in zip(by_reproducer(lines), list(reproducers), strict=False):
        if plays[-1]["kind"] == "unknown_operation":
            yield _unplayed(each, State.NOT_EXERCISED, options.unknown_operation(release.version, plays[-1]))
        else:
            yield _counted(each, release, [line for line in plays if line["kind"] == "schedule"])


def _counted(reproducer: Race, release: Release, plays: Sequence[dict[str, Any]]) -> Played:
    tried = counted(reproducer.name, sum(not line["ok"] for line in plays), len(plays))
    failures = "".join(f"  {failure['invariant']}: {failure['detail']}\n" for failure in plays[0]["failures"])
    result = f"{reproducer.name} on {release.version}, stock: {tried.occurred} of {tried.of}"
    listing = f"{reproducer.name}: {reproducer.summary}\n\n{table(plays[0])}\n\n{failures}{result}\n"
    missed = plays[0]["missed"]  # each play of a reproducer takes the same steps
    if not tried.occurred and missed:
        reason = f"the interleaving did not happen: {missed}"
        tried = Tried(reproducer.name, State.NOT_EXERCISED, reason=reason)
        listing += f"{tried}: {reason}\n"
    return Played(reproducer, tried, listing)


def _unplayed(reproducer: Race, state: State, reason: str) -> Played:
    first = reason.splitlines()[0] if reason else str(state)
    listing = f"{reproducer.name}: {reproducer.summary}\n\n{state}: {reason}\n"
    return Played(reproducer, Tried(reproducer.name, state, reason=first), listing)
