"""The change feed of every block against the model of its release (`stress/model`), summed by arm.

A block counts if it is complete and everything that the model compares was seen in it: the change feed, the load's
requests, and the answers to hollow workers. What is left out is said. An anomaly counts as explained only by a race of
the registry. Anomalies decide no verdict: they are for a reader.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from stress.checkers.evidence import clock
from stress.checkers.view import BlockView
from stress.feed import FeedBroken
from stress.model import UNITS, Anomaly, CheckerName, Findings, check
from stress.model.rows import Step
from stress.races.registry import RACES
from stress.results import Anomalies, AnomalyCount, AnomalyWitness, ArmSummary, WitnessTable

FEED = "change_feed"

WITNESSES = 5
"""Unexplained anomalies of one checker on one arm that are shown with their interleaving."""


def anomalies_of(views: Sequence[BlockView], arms: Sequence[ArmSummary]) -> Anomalies | None:
    """The anomalies of a run; None if no block had a change feed, as in runs of before there was one."""
    seen = [view for view in views if view.took_part(FEED)]
    if not seen:
        return None
    releases = {arm.name: arm.airflow for arm in arms}
    of_arms: dict[str, list[Findings]] = defaultdict(list)
    witnesses: list[AnomalyWitness] = []
    blind: list[str] = []
    shown: Counter[tuple[str, CheckerName]] = Counter()
    for view in seen:
        if view.arm not in releases:
            continue
        reasons = _blind(view)
        findings = None if reasons else _findings(view, releases[view.arm], reasons)
        if findings is None:
            blind += reasons
            continue
        of_arms[view.arm].append(findings)
        for anomaly in findings.anomalies:
            key = (view.arm, anomaly.checker)
            if not _race(anomaly) and shown[key] < WITNESSES:
                shown[key] += 1
                witnesses.append(_witness(view, anomaly))
    return Anomalies(
        transitions={arm: sum(f.transitions.total() for f in of_arms[arm]) for arm in releases},
        checkers={str(checker): {arm: _count(checker, of_arms[arm]) for arm in releases} for checker in CheckerName},
        units={str(checker): unit for checker, unit in UNITS.items()},
        unexplained=tuple(witnesses),
        blind=tuple(dict.fromkeys(blind)),
    )


def _blind(view: BlockView) -> list[str]:
    """Why the block's feed or its answers are not whole."""
    needed = [FEED, "load"] + (["execution_api"] if view.took_part("execution_api") else [])
    return list(view.blind(*needed)) or ([] if view.complete else [f"block {view.block} is not complete"])


def _findings(view: BlockView, release: str, reasons: list[str]) -> Findings | None:
    """What the model found in a block; None, with a reason, if its feed cannot be read or the model fails."""
    try:
        return check(view.transactions(), ((entry.t, entry.event) for entry in view.entries), release)
    except FeedBroken as broken:
        reasons.append(f"block {view.block}: {broken}")
    except Exception as error:  # a defect of the model must never count as "no anomaly"
        reasons.append(f"block {view.block}: the model failed: {type(error).__name__}: {error}")
    return None


def _race(anomaly: Anomaly) -> str:
    """The race of the registry that explains an anomaly, empty for none."""
    return str(anomaly.explained_by) if anomaly.explained_by in RACES else ""


def _count(checker: CheckerName, found: Sequence[Findings]) -> AnomalyCount:
    explained: Counter[str] = Counter()
    total = 0
    for findings in found:
        total += findings.found[checker]
        explained.update(
            {str(race): n for (name, race), n in findings.explained.items() if name is checker and race in RACES}
        )
    return AnomalyCount(
        found=total,
        unexplained=total - explained.total(),
        opportunities=sum(findings.opportunities[checker] for findings in found),
        explained=dict(sorted(explained.items())),
    )


def _witness(view: BlockView, anomaly: Anomaly) -> AnomalyWitness:
    rows = tuple(_row(view, step, anomaly.xid) for step in anomaly.steps)
    table = WitnessTable(
        "Transactions that changed the same rows", ("time of load", "transaction", "writer", "row", "change"), rows
    )
    return AnomalyWitness(
        checker=str(anomaly.checker),
        block=view.block,
        arm=view.arm,
        at_s=view.at_s(anomaly.at),
        what=anomaly.what,
        also=tuple(map(str, anomaly.also)),
        table=table,
    )


def _row(view: BlockView, step: Step, xid: int) -> tuple[str, ...]:
    change = step.change
    columns: Mapping[str, str | None] = change.columns
    assigned = ", ".join(f"{name} = {'NULL' if value is None else value}" for name, value in columns.items())
    return (
        clock(view, step.at),
        f"{step.xid} (the anomaly)" if step.xid == xid else str(step.xid),
        step.writer or "unknown",
        f"{change.table} {', '.join(change.key)}",
        f"{change.op}{': ' if assigned else ''}{assigned}",
    )
