"""From a history to results: checkers, statistics, and what the report shows. Pure: the same history, the same results.

What counts
  A complete block counts, unless an observer was blind in it (`counts.py`). A block that was cut short (an interrupt, a
  killed harness) is left out, unless it shows an incident on the arm under test: that is proof even if other incidents
  were missed, and the cut makes the block blind.

Whether the fixes were there
  An arm with fixes counts only if its processes reported that they loaded them (`loading.py`).

What is taken from the history, and what is code
  The plan is the history's: races with their names, units and summaries, arms, the roles that must load each fix, and
  the measures of harm with their units and margins. The rules are code: checkers, readings of measures, statistics,
  levels. A race or a measure that the code has no rule for is taken as the run itself counted it (`counts.py`). A
  history of an earlier schema is first made one of the present (`upgrade.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from stress import events
from stress.checkers.view import BlockView
from stress.history import History
from stress.judge.anomalies import anomalies_of
from stress.judge.costs import MEASURES, costs_of, measure_of
from stress.judge.counts import usable_blocks
from stress.judge.harm import BlockCosts, Measure, compare
from stress.judge.loading import unloaded
from stress.judge.ratios import changes
from stress.judge.verdicts import judge, judge_all, overall
from stress.races import registry
from stress.results import (
    ArmSummary,
    BlockCheck,
    BlockSummary,
    CostChange,
    HarmMeasure,
    Incident,
    RaceVerdict,
    Results,
    RunState,
    Throughput,
    Witness,
)
from stress.upgrade import upgraded


@dataclass(frozen=True)
class Planned:
    """The plan as the history records it."""

    run_id: str
    seed: int
    races: tuple[str, ...]
    arms: tuple[ArmSummary, ...]
    measures: tuple[Measure, ...]
    units: Mapping[str, str] = field(default_factory=dict)
    """What the opportunities of each race are called."""
    abouts: Mapping[str, str] = field(default_factory=dict)
    """A sentence on each race."""


def planned(history: History) -> Planned:
    """The plan, with which a history of the present schema begins. Raises ValueError if it does not."""
    arms: list[ArmSummary] = []
    measures: list[Measure] = []
    races: list[events.RacePlanned] = []
    run: events.RunPlanned | None = None
    for entry in history.entries:
        if isinstance(entry.event, events.RunPlanned):
            run = entry.event
        elif isinstance(entry.event, events.ArmPlanned):
            arm = entry.event
            arms.append(summary_of_arm(arm))
        elif isinstance(entry.event, events.RacePlanned):
            races.append(entry.event)
        elif isinstance(entry.event, events.MeasurePlanned):
            measures.append(measure_of(entry.event))
        elif entry.block is not None:
            break
    if run is None or not arms:
        raise ValueError("the history does not begin with a plan: nothing can be judged")
    return Planned(
        run.run_id,
        run.seed,
        tuple(run.races),
        tuple(arms),
        tuple(measures),
        units={race.name: race.unit for race in races},
        abouts={race.name: race.summary for race in races},
    )


def summary_of_arm(arm: events.ArmPlanned) -> ArmSummary:
    """An arm as the results have it, from its event."""
    roles = {fix: tuple(of_fix) for fix, of_fix in arm.fix_roles.items()}
    return ArmSummary(arm.name, arm.airflow, tuple(arm.fixes), dict(arm.config), arm.code, roles)


def views(history: History) -> list[BlockView]:
    """Every started block."""
    return [BlockView.of(history, block) for block in history.blocks()]


def checks_of(blocks: Sequence[BlockView], races: Sequence[str], under_test: str) -> list[BlockCheck]:
    """Every race on every block that counts."""
    found = []
    for view in blocks:
        for race in races:
            result = _check(race, view)
            if view.complete or (result.incidents and view.arm == under_test):
                found.append(result)
    return found


def _check(race: str, view: BlockView) -> BlockCheck:
    """By the race's checker, or, where there is none any more, by what the run itself counted."""
    if race in registry.CHECKERS:
        return registry.check(race, view)
    counted = next((event for _, event in view.all(events.RaceCounted) if event.race == race), None)
    if counted is None:
        reason = f"block {view.block}: this version has no checker of {race}, and the history holds no count of it"
        return BlockCheck(race, view.block, view.arm, (), 0, view.load_s, (reason,))
    incidents = tuple(
        Incident(race, view.block, view.arm, each.at_s, each.cause, each.signature, Witness(each.headline))
        for each in counted.incidents
    )
    return BlockCheck(race, view.block, view.arm, incidents, counted.opportunities, view.load_s, tuple(counted.blind))


def counted_event(result: BlockCheck) -> events.RaceCounted:
    """A check as a history holds it."""
    incidents = [
        events.CountedIncident(
            at_s=each.at_s, cause=each.cause, signature=each.signature, headline=each.witness.headline
        )
        for each in result.incidents
    ]
    return events.RaceCounted(
        race=result.race, incidents=incidents, opportunities=result.opportunities, blind=list(result.blind)
    )


@dataclass(frozen=True)
class Judgement:
    """One comparison: the last arm against the first, what it costs, and the other arms against the first."""

    races: Mapping[str, RaceVerdict]
    harm: tuple[HarmMeasure, ...]


def judge_blocks(
    checks: Sequence[BlockCheck],
    costs: Sequence[BlockCosts],
    races: Sequence[str],
    arms: Sequence[str],
    *,
    block_cost_s: float | None = None,
    missing: Mapping[str, Sequence[str]] | None = None,
    interrupted: bool = False,
    measures: Sequence[Measure] = MEASURES,
    units: Mapping[str, str] | None = None,
) -> Judgement:
    """Races and harm of the last of `arms` against the first, over the same usable blocks."""
    harm = harm_of(checks, costs, measures, arms[0], arms[-1])
    verdicts = judge_all(
        checks,
        races,
        arms,
        harm=harm,
        block_cost_s=block_cost_s,
        unloaded=missing or {},
        interrupted=interrupted,
        units=units or {},
    )
    return Judgement(verdicts, harm)


def harm_of(
    checks: Sequence[BlockCheck],
    costs: Sequence[BlockCosts],
    measures: Sequence[Measure],
    control: str,
    under_test: str,
) -> tuple[HarmMeasure, ...]:
    """What is worse on `under_test` than on `control`, without the blocks that are set aside for the races."""
    compared = _usable(checks, costs, control, under_test)
    return compare(compared, measures, control=control, under_test=under_test)


def costs_against(
    checks: Sequence[BlockCheck],
    costs: Sequence[BlockCosts],
    measures: Sequence[Measure],
    control: str,
    under_test: str,
) -> tuple[CostChange, ...]:
    """How the costs of `under_test` differ from those of `control`, over the same blocks as the harm."""
    compared = _usable(checks, costs, control, under_test)
    return changes(compared, measures, control=control, under_test=under_test)


def _usable(
    checks: Sequence[BlockCheck], costs: Sequence[BlockCosts], control: str, under_test: str
) -> list[BlockCosts]:
    usable = {block for block, _ in usable_blocks(checks, control, under_test).blocks}
    return [each for each in sorted(costs, key=lambda each: each.block) if each.block in usable]


def summary_of(view: BlockView, checks: Sequence[BlockCheck] = ()) -> BlockSummary:
    """A block as the report's timeline shows it, with the counts of its checks."""
    counted = view.last(events.TasksCounted)
    own = [check for check in checks if check.block == view.block]
    return BlockSummary(
        index=view.block,
        arm=view.arm,
        started_at=view.load_started_at or (view.entries[0].t if view.entries else 0.0),
        load_s=view.load_s,
        complete=view.complete,
        task_instances=counted.by_state.get("success", 0) if counted is not None else 0,
        restarts=sum(1 for _, event in view.all(events.ComponentStarted) if event.restarts > 0),
        peak_rss_bytes=max((e.cluster_bytes + e.harness_bytes for _, e in view.all(events.MemorySampled)), default=0),
        counts={check.race: (len(check.incidents), check.opportunities) for check in own},
        blind=tuple(dict.fromkeys(why for check in own for why in check.blind)),
    )


def judge_history(history: History, state: RunState, *, errors: Sequence[str] = ()) -> Results:
    """Judge a history as it stands. `state` is the run's; an interrupted or failed run is never a pass.

    `errors` say why a run failed or was interrupted, as the manifest has it.
    """
    plan = planned(upgraded(history))
    names = [arm.name for arm in plan.arms]
    blocks = views(history)
    checks = checks_of(blocks, plan.races, names[-1])
    costs = [costs_of(view) for view in blocks if view.complete]
    missing = unloaded(blocks, plan.arms)
    ended_early = state in (RunState.INTERRUPTED, RunState.FAILED)
    judged = judge_blocks(
        checks,
        costs,
        plan.races,
        names,
        block_cost_s=_block_cost_s(blocks),
        missing=missing,
        interrupted=ended_early,
        measures=plan.measures,
        units=plan.units,
    )
    blind = [reason for result in checks for reason in result.blind]
    blind += [f"{arm}: {reason}" for arm, reasons in missing.items() for reason in reasons]
    return Results(
        run_id=plan.run_id,
        seed=plan.seed,
        state=state,
        verdict=overall(judged.races, interrupted=ended_early),
        arms=plan.arms,
        races={race: replace(verdict, about=plan.abouts.get(race, "")) for race, verdict in judged.races.items()},
        throughput=_throughput(blocks, names),
        blind=tuple(dict.fromkeys(blind)),
        blocks=tuple(summary_of(view, checks) for view in blocks),
        incidents=tuple(incident for result in checks for incident in result.incidents),
        notes=(*_notes(history, blocks, checks), *_between(checks, costs, plan, missing, ended_early)),
        harm=judged.harm,
        costs=costs_against(checks, costs, plan.measures, names[0], names[-1]),
        anomalies=anomalies_of(blocks, plan.arms),
        errors=tuple(errors),
    )


def _notes(history: History, blocks: Sequence[BlockView], checks: Sequence[BlockCheck]) -> list[str]:
    """Notes on the history itself."""
    notes = [] if history.broken is None else [f"the history ends early: {history.broken}"]
    counted = {result.block for result in checks}
    notes.extend(
        f"block {view.block} ({view.arm}) was cut short and "
        + ("counts for its incidents only" if view.block in counted else "is left out")
        for view in blocks
        if not view.complete
    )
    return notes


def _between(
    checks: Sequence[BlockCheck],
    costs: Sequence[BlockCosts],
    plan: Planned,
    missing: Mapping[str, Sequence[str]],
    interrupted: bool,
) -> list[str]:
    """Notes on the arms between the first and the last, each against the first."""
    said = []
    arms = [arm.name for arm in plan.arms]
    for arm in arms[1:-1]:
        harm = harm_of(checks, costs, plan.measures, arms[0], arm)
        verdicts = judge(
            checks,
            races=plan.races,
            control=arms[0],
            under_test=arm,
            harm=harm,
            unloaded=missing,
            interrupted=interrupted,
            units=plan.units,
        )
        said += [f"{arm} against {arms[0]}: {race} {verdict.reason}" for race, verdict in verdicts.items()]
    return said


def _block_cost_s(blocks: Sequence[BlockView]) -> float | None:
    """How long a complete block took from its start to its end, load and all; None if there was none."""
    costs = [view.entries[-1].t - view.entries[0].t for view in blocks if view.complete]
    return sum(costs) / len(costs) if costs else None


def _throughput(blocks: Sequence[BlockView], arms: Sequence[str]) -> Mapping[str, Throughput]:
    rates = {}
    for arm in arms:
        own = [summary_of(view) for view in blocks if view.arm == arm and view.complete]
        tasks, load_s = sum(block.task_instances for block in own), sum(block.load_s for block in own)
        rates[arm] = Throughput(tasks / load_s if load_s else 0.0, tasks, load_s)
    return rates
