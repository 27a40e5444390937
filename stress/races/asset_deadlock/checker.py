"""Asset deadlocks: every cycle of reports that PostgreSQL had to break in the queue of asset events is one incident.

The server's log has them, with the cause `asset_queue` (`stress/checkers/deadlock_causes.py`). There are two causes, by
the assets in the statements:

===================  ==============================================================================================
`across_assets`      the statements are of different assets: the reports took a set of assets in different orders
`within_one_asset`   the statements are of one asset: the reports took the DAGs that wait for it in different orders
===================  ==============================================================================================

Opportunities are reports of success with one DAG's outlets that were made within `TOGETHER_S` of the one before: only
reports that overlap can wait for each other. They need the hollow workers' records.
"""

from __future__ import annotations

import re

from stress import events
from stress.checkers.deadlock_causes import ASSET_QUEUE, cause_of, unlogged
from stress.checkers.evidence import deadlock_witness
from stress.checkers.reports import coincidences
from stress.checkers.view import BlockView
from stress.races.asset_deadlock.scenario import PRODUCERS
from stress.results import BlockCheck, Incident

RACE = "asset_deadlock"

ACROSS = "across_assets"
WITHIN = "within_one_asset"
CAUSES = (ACROSS, WITHIN)

TOGETHER_S = 0.1

# `INSERT INTO asset_dag_run_queue (asset_id, ...) VALUES (7, ...`: the first value of the first row.
_ASSET = re.compile(r"INSERT INTO asset_dag_run_queue \(asset_id.*?VALUES \(\s*(\d+)", re.DOTALL)


def check(view: BlockView) -> BlockCheck:
    """Count deadlocks in the queue of asset events, and reports of success that were made together."""
    incidents = tuple(
        _incident(view, event) for _, event in view.all(events.DeadlockSeen) if cause_of(event) == ASSET_QUEUE
    )
    opportunities = coincidences(
        (event for _, event in view.all(events.ReportAnswered) if event.dag in PRODUCERS and event.state == "success"),
        lambda report: report.dag,
        TOGETHER_S,
    )
    return BlockCheck(
        RACE,
        view.block,
        view.arm,
        incidents,
        opportunities,
        view.load_s,
        (*view.blind("postgres_log", "execution_api", "database"), *unlogged(view)),
    )


def _incident(view: BlockView, event: events.DeadlockSeen) -> Incident:
    assets = {match[1] for side in event.sides if (match := _ASSET.search(side.statement)) is not None}
    cause = WITHIN if len(assets) == 1 else ACROSS
    return Incident(RACE, view.block, view.arm, view.at_s(event.at), cause, cause, deadlock_witness(event))
