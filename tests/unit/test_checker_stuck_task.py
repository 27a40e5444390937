"""Stuck and lost tasks: each is told by where it stands, and no consequence of another is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress import events
from stress.checkers.view import BlockView
from stress.races.stuck_task.checker import CAUSES, FINISHED, check
from stress.results import BlockCheck
from tests.unit.histories import LOAD_S, OBSERVERS, Block, at, fault, settled

STATES = ("none", "scheduled", "queued", "running", "deferred", "restarting", "up_for_retry", *sorted(FINISHED))


def task(state: str, name: str = "t", run: str = "r", **fields: Any) -> events.UnfinishedTask:
    known: dict[str, Any] = {"dag": "churn_0", "try_number": 1, "run_state": "running", "changed_at": at(30)}
    return events.UnfinishedTask(id=f"{run}-{name}", run=run, task=name, state=state, **known | fields)


def run(state: str = "running", name: str = "r", dag: str = "churn_0", **by_state: int) -> events.UnfinishedRun:
    return unfinished(state, name, by_state, dag)


def unfinished(state: str, name: str, by_state: dict[str, int], dag: str = "churn_0") -> events.UnfinishedRun:
    return events.UnfinishedRun(dag=dag, run=name, state=state, by_state=by_state, changed_at=at(31))


def looked(
    tasks: Sequence[events.UnfinishedTask] = (),
    runs: Sequence[events.UnfinishedRun] | None = None,
    block: Block | None = None,
    unchanged_s: float = 100.0,
) -> BlockCheck:
    """The result on a block whose last look found these; by default one run that is still running."""
    if runs is None:
        runs = [unfinished("running", "r", dict(Counter(task.state for task in tasks)))]
    block = block or Block()
    counted = events.FiniteTasksCounted(total=500, unfinished=list(tasks), runs=list(runs))
    block.add(LOAD_S + 100, settled(tasks=1, unchanged_s=unchanged_s), counted)
    return check(block.end().view())


def causes(result: BlockCheck) -> list[str]:
    return [incident.cause for incident in result.incidents]


def told(*ids: str) -> Block:
    """A block whose workers were told that these are stored as successful."""
    return Block().add(25, events.SuccessAcknowledged(task_instances=list(ids)))


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ("queued", "stuck_queued"),
        ("running", "stuck_running"),
        ("scheduled", "stuck_scheduled"),
        ("deferred", "stuck_deferred"),
        ("none", "stuck_none"),
        ("restarting", "stuck_other"),
        ("up_for_retry", "stuck_other"),
    ],
)
def test_the_cause_is_the_state_in_which_it_stands(state: str, cause: str) -> None:
    assert causes(looked([task(state)])) == [cause]


def test_each_task_that_is_under_way_is_an_incident() -> None:
    assert causes(looked([task("queued", "a"), task("queued", "b"), task("deferred", "c")])) == [
        "stuck_queued",
        "stuck_queued",
        "stuck_deferred",
    ]


def test_tasks_that_wait_for_a_stuck_one_are_its_consequence() -> None:
    assert causes(looked([task("queued", "a"), task("none", "b"), task("none", "c")])) == ["stuck_queued"]


def test_a_run_that_nobody_goes_on_with_is_one_incident() -> None:
    assert causes(looked([task("none", "a"), task("none", "b")])) == ["stuck_none"]


def test_a_queued_run_may_wait_for_an_active_one() -> None:
    waits = task("none", run="r2", run_state="queued")
    found = looked([task("running"), waits], [run(running=1), run("queued", "r2", none=1)])
    assert causes(found) == ["stuck_running"]


def test_a_queued_run_that_waits_for_nothing_is_stuck() -> None:
    waits = task("none", run="r2", run_state="queued")
    other_dag = task("running", dag="churn_1")
    found = looked([other_dag, waits], [run(dag="churn_1", running=1), run("queued", "r2", none=1)])
    assert causes(found) == ["stuck_running", "stuck_none"]


def test_a_run_that_does_not_end_though_its_tasks_have_is_stuck() -> None:
    assert causes(looked([], [run(success=32)])) == ["stuck_run"]


def test_a_run_that_failed_without_a_failed_task_is_lost() -> None:
    assert causes(looked([task("none", run_state="failed")], [run("failed", success=3, none=1)])) == ["lost_run"]


@pytest.mark.parametrize("state", ["failed", "upstream_failed"])
def test_a_task_that_failed_with_its_run_is_neither_stuck_nor_lost(state: str) -> None:
    assert (
        causes(looked([task(state, run_state="failed")], [unfinished("failed", "r", {"success": 3, state: 1})])) == []
    )


@pytest.mark.parametrize("state", ["failed", "running", "queued", "none", "removed"])
def test_a_success_that_a_worker_was_told_of_and_that_is_stored_otherwise_is_lost(state: str) -> None:
    found = looked([task(state, run_state="failed")], [run("failed", failed=1)], told("r-t"))
    assert causes(found) == ["lost_success"]


def test_a_success_that_is_lost_and_tried_again_is_lost() -> None:
    found = looked([task("failed", earlier_try=True)], [], told("r-t"))
    assert causes(found) == ["lost_success"]


@pytest.mark.parametrize("state", ["failed", "restarting"])
def test_an_earlier_try_is_not_under_way(state: str) -> None:
    assert causes(looked([task(state, earlier_try=True), task("none")], [run(none=1)])) == ["stuck_none"]


def test_a_task_that_has_failed_is_not_under_way() -> None:
    assert causes(looked([task("failed", "a"), task("none", "b")])) == ["stuck_none"]


def test_a_success_of_another_try_explains_nothing() -> None:
    # A cleared task has a new id: the worker's word was about the old one, whose row still says success.
    assert causes(looked([task("failed", run_state="failed")], [run("failed", failed=1)], told("r-t-before"))) == []


def test_what_still_changed_at_the_end_is_blindness_and_no_incident() -> None:
    found = looked([task("queued")], unchanged_s=69.0)
    assert found.incidents == ()
    assert found.blind == (
        "block 0: 1 tasks and runs were unfinished when the settling time was over, and something had changed 69 s "
        "before, where 70 s without a change are needed to distinguish late from stuck",
    )


def test_a_lost_success_needs_no_standstill() -> None:
    found = looked([task("failed", run_state="failed")], [run("failed", failed=1)], told("r-t"), unchanged_s=0.0)
    assert (causes(found), found.blind) == (["lost_success"], ())


def test_opportunities_are_the_finite_task_instances() -> None:
    assert looked([task("queued")]).opportunities == 500


def test_the_incident_is_when_the_task_last_moved() -> None:
    assert looked([task("queued")]).incidents[0].at_s == pytest.approx(30.0)


def test_the_witness_has_the_row_and_the_faults() -> None:
    block = fault(Block(), "kill", "scheduler-1", 29, 29.1)
    witness = looked([task("queued", queued_by="scheduler-1", detail="queued by job 5, failed")], block=block)
    rows, faults = witness.incidents[0].witness.tables
    assert rows.rows == (("30.000 s", "t", "queued", "running", "scheduler-1", "", "r-t queued by job 5, failed"),)
    assert faults.rows == (("29.000 s", "29.100 s", "kill", "scheduler-1", ""),)


def test_tasks_that_nobody_counted_make_the_race_blind() -> None:
    block = Block().add(66, events.BlockEnded(complete=True))
    assert check(block.view()).blind == ("block 0: the unfinished tasks were not counted",)


@pytest.mark.parametrize("observer", ["execution_api", "database"])
def test_a_blind_observer_makes_the_race_blind(observer: str) -> None:
    block = Block().add(1, events.ObserverBlind(observer=observer, reason="gone")).end()
    assert check(block.view()).blind == (f"block 0: {observer} was blind: gone",)


def test_an_observer_that_takes_no_part_is_not_missed() -> None:
    entries = Block().end().entries
    ups = [e for e in entries if isinstance(e.event, events.ObserverUp) and e.event.observer == "execution_api"]
    assert len(ups) == 1
    assert "execution_api" in OBSERVERS
    without = tuple(entry for entry in entries if entry not in ups)
    assert check(BlockView(0, "stock", without)).blind == ()


@given(
    st.lists(st.tuples(st.sampled_from(STATES[:7]), st.integers(0, 3)), max_size=12),
    st.sampled_from(["running", "queued"]),
)
def test_every_unfinished_run_is_explained_by_a_known_cause(tasks: list[tuple[str, int]], state: str) -> None:
    rows = [task(s, f"t{n}", f"r{r}", run_state=state) for n, (s, r) in enumerate(tasks)]
    names = sorted({row.run for row in rows})
    runs = [unfinished(state, name, dict(Counter(row.state for row in rows if row.run == name))) for name in names]
    found = looked(rows, runs)
    assert set(causes(found)) <= set(CAUSES)
    assert len(found.incidents) >= len(names), "each run is stuck, for one reason at least"


# -- without faults --------------------------------------------------------------------------------------------------


def in_flight(*unfinished: events.UnfinishedTask, runs: tuple[events.UnfinishedRun, ...] = ()) -> BlockCheck:
    """The result on a block without faults whose last look found these."""
    counted = events.FiniteTasksCounted(total=9, unfinished=list(unfinished), runs=list(runs))
    return check(Block().add(LOAD_S + 50, settled(tasks=1), counted).end().view())


def row(state: str, *, stood: bool, run_state: str = "running") -> events.UnfinishedTask:
    return events.UnfinishedTask(
        id="t", dag="d", run="r", task="a", try_number=1, state=state, run_state=run_state, stood=stood
    )


@pytest.mark.parametrize(("stood", "causes"), [(True, ["stuck_queued"]), (False, [])])
def test_a_task_that_moved_since_the_settling_began_is_not_stuck(stood: bool, causes: list[str]) -> None:
    active = events.UnfinishedRun(dag="d", run="r", state="running", by_state={"queued": 1}, stood=False)
    found = in_flight(row("queued", stood=stood), runs=(active,))
    assert [incident.cause for incident in found.incidents] == causes


@pytest.mark.parametrize(("stood", "causes"), [(True, ["stuck_none"]), (False, [])])
def test_a_run_that_moved_since_the_settling_began_is_not_stuck(stood: bool, causes: list[str]) -> None:
    active = events.UnfinishedRun(dag="d", run="r", state="running", by_state={"none": 1}, stood=stood)
    found = in_flight(row("none", stood=False), runs=(active,))
    assert [incident.cause for incident in found.incidents] == causes


@pytest.mark.parametrize("state", ["none", "queued"])
def test_a_task_that_has_not_ended_in_a_run_that_has_is_lost(state: str) -> None:
    found = in_flight(row(state, stood=False, run_state="success"))
    assert ([incident.cause for incident in found.incidents], found.blind) == (["lost_task"], ())


@pytest.mark.parametrize("state", ["failed", "skipped", "removed"])
def test_a_task_that_has_ended_in_a_run_that_has_is_not_lost(state: str) -> None:
    assert in_flight(row(state, stood=False, run_state="success")).incidents == ()
