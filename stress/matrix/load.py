"""`stress rc` under load: one `stress run` whose arms are the two releases, without any fix.

A run answers what no reproducer asks: does the race occur on a whole cluster, and how often? Its verdict on a race is
about the previous release as the control and this release as the arm under test. A deadlock that another race
counts (assets, marks of runs, fail_fast) is left out of the counts of `deadlock`: it has its own row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from stress.arms import fixes
from stress.arms.releases import Release
from stress.cache import write_atomically
from stress.checkers.deadlock_causes import ASSET_QUEUE, FAIL_FAST, RUN_MARKING
from stress.matrix.cells import State, Tried, counted
from stress.matrix.status import LOAD, UnderLoad
from stress.plan import METRICS_PORT, Options, Plan, check
from stress.races.registry import RACES
from stress.results import ArmCount, CostChange, RaceState, RaceVerdict, Results, RunState
from stress.run.lifecycle import Run
from stress.run.stored import analyse
from stress.screen import choose

FILE = "load.json"
PREVIOUS, THIS = "previous", "this"
NOT_NEEDED = "not_needed"
"""What `fixes.fit` says of a fix on a release that does not have its defect."""

DEADLOCK = "deadlock"
COUNTED_ELSEWHERE = frozenset({ASSET_QUEUE, FAIL_FAST, RUN_MARKING})
"""Causes of deadlocks that are incidents of another race, too."""


class Loaded(msgspec.Struct, frozen=True):
    """What a run says of one race on both releases."""

    race: str
    previous: Tried
    this: Tried
    removed: bool
    verdict: str
    reason: str

    @property
    def under_load(self) -> UnderLoad:
        """As a way to see the race."""
        return UnderLoad(self.previous, self.this, self.removed)


class LoadResult(msgspec.Struct, frozen=True):
    """A run under load that ended. `error` says why it failed, if it did."""

    run: str
    """Its directory, relative to the directory of the results."""

    races: tuple[Loaded, ...]
    error: str = ""
    costs: tuple[CostChange, ...] = ()


@dataclass(frozen=True)
class LoadStage:
    """A run that can be started, and where its result is kept."""

    plan: Plan
    words: tuple[str, ...]
    directory: Path

    def stored(self) -> LoadResult | None:
        """The result of an earlier command; None without one, or if it failed, which is not an answer."""
        try:
            found = msgspec.json.decode((self.directory / FILE).read_bytes(), type=LoadResult)
        except FileNotFoundError:
            return None
        return None if found.error else found

    def run(self) -> LoadResult:
        """Run to the end, and keep the result. Raises KeyboardInterrupt if the user interrupts it, which keeps none."""
        Run(self.plan, self.words, choose(tui=False)).execute()
        try:
            _, results = analyse(self.plan.directory)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            found = self._failed(str(error))
        else:
            if results.state is RunState.INTERRUPTED:
                raise KeyboardInterrupt
            found = self._result(results) if results.state is RunState.DONE else self._failed("; ".join(results.errors))
        write_atomically(self.directory / FILE, msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return found

    def _result(self, results: Results) -> LoadResult:
        link = self._link()
        races = tuple(_loaded(verdict, link) for verdict in results.races.values())
        return LoadResult(link, races, costs=results.costs)

    def _failed(self, error: str) -> LoadResult:
        link = self._link()
        tried = Tried(LOAD, State.FAILED, reason=error, link=link)
        races = tuple(Loaded(race, tried, tried, False, str(RaceState.UNKNOWN), error) for race in self.plan.races)
        return LoadResult(link, races, error or "the run failed")

    def _link(self) -> str:
        return str(self.plan.directory.relative_to(self.directory))


def races_under_load(races: Sequence[str], releases: Sequence[Release]) -> tuple[str, ...]:
    """Those with a scenario that needs no faults, and that one of the releases can have by what is known of it."""
    return tuple(name for name in races if _has_scenario(name) and any(_can_have(name, each) for each in releases))


def _has_scenario(name: str) -> bool:
    return RACES[name].scenario is not None and not RACES[name].needs_faults


def _can_have(name: str, release: Release) -> bool:
    """Whether a defect of the race is in the release, or the fixes were not examined on it."""
    fits = [fixes.fit(fix.name, release.version) for fix in RACES[name].fixes if not fix.proposed]
    return not fits or any(fit != NOT_NEEDED for fit in fits)


def stage(
    directory: Path, previous: Release, this: Release, races: Sequence[str], budget: str, port: str | None
) -> LoadStage:
    """The run under load. Raises BadOptions with every mistake; nothing is written."""
    arms = (f"{PREVIOUS}=airflow:{previous.version},fixes:none", f"{THIS}=airflow:{this.version},fixes:none")
    out = str(_new(directory / "runs"))
    port = str(METRICS_PORT) if port is None else port
    plan = check(Options(races=tuple(races), arms=arms, budget=budget, out=out, metrics_port=port))
    words = ["run", *(f"--race={race}" for race in races), *(f"--arm={arm}" for arm in arms), f"--budget={budget}"]
    return LoadStage(plan, tuple(words), directory)


def _new(runs: Path) -> Path:
    """A directory that no earlier attempt has."""
    number = 1
    while (runs / f"load-{number}").exists():
        number += 1
    return runs / f"load-{number}"


def _loaded(verdict: RaceVerdict, link: str) -> Loaded:
    return Loaded(
        race=verdict.race,
        previous=_tried(verdict, PREVIOUS, link),
        this=_tried(verdict, THIS, link),
        removed=verdict.verdict is RaceState.REMOVED,
        verdict=str(verdict.verdict),
        reason=verdict.reason + _left_out(verdict),
    )


def _tried(verdict: RaceVerdict, arm: str, link: str) -> Tried:
    count = verdict.arms.get(arm)
    if count is None or not (count.opportunities or count.incidents):
        return Tried(LOAD, State.NOT_EXERCISED, reason=f"under load there were no {verdict.unit}", link=link)
    return counted(LOAD, _incidents(verdict.race, count), count.opportunities, link)


def _incidents(race: str, count: ArmCount) -> int:
    return count.incidents - _elsewhere(race, count)


def _elsewhere(race: str, count: ArmCount) -> int:
    """Incidents of this race that have a row of their own as incidents of another one."""
    causes = COUNTED_ELSEWHERE if race == DEADLOCK else frozenset()
    return sum(number for cause, number in count.causes.items() if cause in causes)


def _left_out(verdict: RaceVerdict) -> str:
    number = sum(_elsewhere(verdict.race, count) for count in verdict.arms.values())
    return f" (the table counts {number} of these incidents in the row of another race)" if number else ""
