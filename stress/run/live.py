"""The counts and verdicts while a run lasts. Every event goes to the metrics, and every two seconds the checkers judge
the present block. Their results are shown and published, and decide when the run ends. The reports use only what is
stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from stress import events
from stress.arms.fixes import components_of
from stress.checkers.view import BlockView
from stress.history import Entry, Recorder
from stress.judge.costs import costs_of, counted_events
from stress.judge.costs import planned_events as measures_planned
from stress.judge.counts import unobservable
from stress.judge.harm import BlockCosts
from stress.judge.history import counted_event, judge_blocks, summary_of_arm
from stress.judge.loading import unloaded
from stress.judge.verdicts import decided
from stress.manifest import Manifest
from stress.metrics import ArmInfo, RunMetrics
from stress.observers import panel
from stress.plan import Plan
from stress.races.registry import CAUSES, RACES, check, scenario_of, unit_of
from stress.report.text import airflow_of
from stress.results import ArmSummary, BlockCheck, RaceVerdict
from stress.screen import Screen

LIVE_CHECK_S = 2.0


def planned_events(plan: Plan, manifest: Manifest) -> list[events.AnyEvent]:
    """The first events of a history."""
    run = events.RunPlanned(
        run_id=plan.run_id,
        seed=plan.seed,
        races=list(plan.races),
        scenarios=[scenario.name for scenario in plan.scenarios],
        schema=events.SCHEMA,
    )
    races = [events.RacePlanned(name=race, summary=RACES[race].summary, unit=unit_of(race)) for race in plan.races]
    return [run, *_arms(manifest), *races, *measures_planned()]


def _arms(manifest: Manifest) -> list[events.ArmPlanned]:
    return [
        events.ArmPlanned(
            name=arm.name,
            airflow=arm.airflow,
            fixes=arm.fixes,
            config=arm.config,
            code=arm.code,
            fix_roles={fix: list(components_of(fix)) for fix in arm.fixes},
        )
        for arm in manifest.arms
    ]


def metrics_of(plan: Plan, manifest: Manifest) -> RunMetrics:
    """The metrics of a run, every series at 0."""
    return RunMetrics(
        arms=[arm.name for arm in plan.arms],
        scenario_of={race: scenario_of(race) for race in plan.races},
        causes_of=CAUSES,
        observers=panel.NAMES,
        info={"airflow": ",".join(manifest.releases), "runtime": plan.runtime, "workers": plan.workers},
        arm_info=[
            ArmInfo(arm.name, _role(place, len(plan.arms)), airflow_of(arm.airflow, arm.code), tuple(arm.fixes))
            for place, arm in enumerate(manifest.arms)
        ],
    )


def _role(place: int, arms: int) -> str:
    """The first arm is the control, the last is under test; a single arm is a control without a test."""
    return "control" if place == 0 else "under_test" if place == arms - 1 else "other"


class LiveJudge:
    """Gets every entry of the present block; `block_ends` and `decided` are called between blocks."""

    def __init__(
        self,
        plan: Plan,
        manifest: Manifest,
        metrics: RunMetrics,
        screen: Screen,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = plan.directory
        self._races = plan.races
        self._arms: Sequence[ArmSummary] = [summary_of_arm(arm) for arm in _arms(manifest)]
        self._metrics = metrics
        self._screen = screen
        self._clock = clock
        self._checks: list[BlockCheck] = []
        self._costs: list[BlockCosts] = []
        self._block = 0
        self._arm = ""
        self._entries: list[Entry] = []
        self._checked_at = 0.0

    def block_begins(self, block: int, arm: str) -> None:
        """The entries from now on are this block's."""
        self._block, self._arm, self._entries = block, arm, []
        self._screen.block(block, arm)

    def on_entry(self, entry: Entry) -> None:
        """An entry of the present block, right after it was written."""
        self._entries.append(entry)
        self._metrics.heard(self._arm, entry.event)
        if isinstance(entry.event, events.ObserverBlind):
            self._screen.warn(f"{entry.event.observer} is blind: {entry.event.reason}")
        if isinstance(entry.event, events.ComponentsHealthy) and entry.event.missing:
            missing = ", ".join(entry.event.missing)
            self._screen.warn(f"{entry.event.seconds:.0f} s after the faults no heartbeat of {missing}")
        if self._clock() - self._checked_at >= LIVE_CHECK_S:
            self._checked_at = self._clock()
            self._screen.checked(self._check(), final=False)

    def block_ends(self, record: Recorder) -> bool:
        """Count the block, and record the counts; False if something was blind in it, so that another must be run in
        its place.
        """
        view = self._view()
        for reasons in unloaded([view], self._arms).values():
            for reason in reasons:
                self._screen.warn(f"{reason}: no verdict will be possible")
        results = self._check()
        self._checks.extend(results)
        for result in results:
            record(counted_event(result))
        if view.complete:
            costs = costs_of(view)
            self._costs.append(costs)
            for event in counted_events(costs):
                record(event)
        for result in results:
            self._metrics.checked(result.race, result.arm, blind=bool(result.blind))
        self._screen.checked(results, final=True)
        blind = [why for result in results if not unobservable(self._checks, result.race) for why in result.blind]
        if blind:
            self._screen.warn(f"block {self._block} is set aside and run again: {blind[0]}")
        return not blind

    def decided(self, block_cost_s: float | None) -> bool:
        """Whether every race is decided by the blocks so far; a block costs so much on average."""
        arms = [arm.name for arm in self._arms]
        judged = judge_blocks(
            self._checks,
            self._costs,
            self._races,
            arms,
            block_cost_s=block_cost_s,
            units={race: unit_of(race) for race in self._races},
        )
        self._screen.verdicts(judged.races)
        self.verdicts(judged.races)
        return decided(judged.races)

    def verdicts(self, races: Mapping[str, RaceVerdict]) -> None:
        """Publish the present verdict of each race."""
        self._metrics.judged({race: verdict.verdict for race, verdict in races.items()})

    def _view(self) -> BlockView:
        return BlockView.in_run(self._directory, self._block, self._arm, tuple(self._entries))

    def _check(self) -> list[BlockCheck]:
        """Every race on the present block as it stands, published."""
        view = self._view()
        results = [check(race, view) for race in self._races]
        for result in results:
            causes: dict[str, int] = {}
            for incident in result.incidents:
                causes[incident.cause] = causes.get(incident.cause, 0) + 1
            self._metrics.found(result.race, result.arm, result.block, causes, result.opportunities)
        return results
