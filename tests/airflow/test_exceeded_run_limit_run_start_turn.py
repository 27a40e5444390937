"""Two schedulers, a DAG of which one run may run: how many run."""

from __future__ import annotations

from typing import Any

import pytest
from parties import Party
from played import party, state

from airflow_stress_explore.airflow.operations.scheduler import scheduler

FIX = "run_start_turn"
STARTS = r"^UPDATE dag_run "


def running(database: Any) -> list[str]:
    """The runs that run."""
    return [row[0] for row in database.query("SELECT run_id FROM dag_run WHERE state = 'running' ORDER BY run_id")]


@pytest.mark.parametrize("fix", [None, FIX])
def test_no_more_runs_run_than_may(database: Any, mounted: Any, release: str, fix: str | None) -> None:
    from airflow.models.dagrun import DagRun

    stock = DagRun.DEFAULT_DAGRUNS_TO_EXAMINE
    runs = state(release, "two_queued_runs")
    with mounted(*([fix] if fix else [])) as status:
        assert status == ({fix: "loaded"} if fix else {})
        first = party(runs, "start_queued_runs", 0).stop("before", STARTS).run_to_stop()
        party(runs, "start_queued_runs", 1).start().result()
        first.resume().result()
    assert len(running(database)) == (1 if fix else 2)
    assert stock == DagRun.DEFAULT_DAGRUNS_TO_EXAMINE, "the operation changes it for as long as it runs"


def test_a_scheduler_that_rolls_back_gives_its_turn_away(database: Any, mounted: Any, release: str) -> None:
    from airflow.utils.session import create_session

    runs = state(release, "two_queued_runs")

    def start_and_roll_back() -> None:
        with create_session(scoped=False) as session:
            scheduler(runs)._start_queued_dagruns(session)
            session.flush()
            session.rollback()

    with mounted(FIX):
        first = Party("first", start_and_roll_back).stop("after", STARTS).run_to_stop()
        party(runs, "start_queued_runs", 1).start().result()
        assert running(database) == []
        first.resume().result()
        party(runs, "start_queued_runs", 1).start().result()
    assert running(database) == ["run_1"]
