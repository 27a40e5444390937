"""From a history to results: what counts, what was cut short, whether the fixes were there."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from stress import events, history
from stress.history import Entry, History, Journal
from stress.judge.history import judge_history, planned
from stress.report import results_json
from stress.results import RaceState, RunState, Verdict
from tests.unit.histories import Block, at, callback, deadlock, run, settled

FIX = "deadline_claim"  # loaded by schedulers
FIXED = {"stock": [], "fixed": [FIX]}


def quiet(arm: str, number: int, updates: int = 1000) -> Block:
    """A complete block without an incident."""
    block = Block(arm, number)
    block.add(1, events.ApiAnswered(operation="success", code=204, count=updates, seconds=1.0, buckets=[0] * 13))
    return block


def deadlocked(arm: str, number: int, count: int = 10) -> Block:
    """A complete block with deadlocks, spread evenly."""
    block = quiet(arm, number)
    for n in range(count):
        block.add(n + 1.0, deadlock(n + 1.0))
    return block


def decisive() -> list[Block]:
    """Nine blocks, 5 of stock and 4 of fixed, with deadlocks on stock only."""
    arms = ("stock", "fixed", "fixed", "stock", "stock", "fixed", "fixed", "stock", "stock")
    return [(deadlocked(arm, n) if arm == "stock" else quiet(arm, n)).end(tasks=500) for n, arm in enumerate(arms)]


def test_a_race_that_stock_shows_and_fixed_does_not_is_removed() -> None:
    results = judge_history(run(*decisive(), races=("deadlock",)), RunState.DONE)
    assert results.races["deadlock"].verdict is RaceState.REMOVED
    assert results.verdict is Verdict.PASS


def test_the_counts_are_those_of_all_blocks_of_an_arm() -> None:
    verdict = judge_history(run(*decisive()), RunState.DONE).races["deadlock"]
    stock, fixed = verdict.arms["stock"], verdict.arms["fixed"]
    assert (stock.incidents, stock.opportunities, stock.exposure_s) == (50, 7500, 300.0)
    assert (fixed.incidents, fixed.opportunities, fixed.exposure_s) == (0, 6000, 240.0)


def test_the_same_history_has_the_same_results() -> None:
    recorded = run(*decisive())
    assert results_json.render(judge_history(recorded, RunState.DONE)) == results_json.render(
        judge_history(recorded, RunState.DONE)
    )


def test_a_history_is_judged_alike_from_memory_and_from_the_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h")
    entries = [journal.append(entry.event, entry.block) for entry in run(*decisive()).entries]
    journal.close()
    from_memory = judge_history(History(tuple(entries), None), RunState.DONE)
    assert judge_history(history.read(tmp_path / "h"), RunState.DONE) == from_memory


def test_races_are_judged_in_the_plan_s_order_and_no_others() -> None:
    recorded = run(quiet("stock", 0).end(), races=("out_of_order_frame", "deadlock"))
    assert list(judge_history(recorded, RunState.DONE).races) == ["out_of_order_frame", "deadlock"]


def test_a_block_that_was_cut_short_is_left_out_and_said_so() -> None:
    results = judge_history(run(*decisive(), deadlocked("stock", 9).end(complete=False)), RunState.DONE)
    assert results.races["deadlock"].arms["stock"].incidents == 50
    assert "block 9 (stock) was cut short and is left out" in results.notes


def test_a_block_that_was_cut_short_counts_for_its_incidents_on_the_arm_under_test() -> None:
    results = judge_history(run(*decisive(), deadlocked("fixed", 9, 1).end(complete=False)), RunState.DONE)
    assert results.races["deadlock"].arms["fixed"].incidents == 1
    assert results.races["deadlock"].verdict is not RaceState.REMOVED
    assert "block 9 (fixed) was cut short and counts for its incidents only" in results.notes


def test_a_block_without_an_end_is_cut_short() -> None:
    results = judge_history(run(*decisive(), deadlocked("stock", 9)), RunState.DONE)
    assert results.races["deadlock"].arms["stock"].incidents == 50


def test_an_interrupted_run_is_never_a_pass() -> None:
    results = judge_history(run(*decisive(), races=("deadlock",)), RunState.INTERRUPTED)
    assert results.verdict is Verdict.UNKNOWN


def test_a_failed_run_is_never_a_pass() -> None:
    assert judge_history(run(*decisive(), races=("deadlock",)), RunState.FAILED).verdict is Verdict.UNKNOWN


def test_a_blind_block_is_set_aside_and_named() -> None:
    blind = quiet("fixed", 9).add(5, events.ObserverBlind(observer="postgres_log", reason="moved away")).end()
    results = judge_history(run(*decisive(), blind, races=("deadlock",)), RunState.DONE)
    assert results.races["deadlock"].verdict is RaceState.REMOVED
    assert "block 9: postgres_log was blind: moved away" in results.blind
    assert results.blocks[9].blind == ("block 9: postgres_log was blind: moved away",)


def test_a_block_s_counts_are_in_its_summary() -> None:
    results = judge_history(run(*decisive(), races=("deadlock",)), RunState.DONE)
    assert [block.counts["deadlock"] for block in results.blocks[:3]] == [(10, 1500), (0, 1500), (0, 1500)]


def test_an_arm_that_loses_callbacks_has_traded_its_race() -> None:
    blocks = []
    for block in decisive():
        fixed = block.arm == "fixed"
        lossy = (deadlocked if block.arm == "stock" else quiet)(block.arm, block.number)
        for name in ("a", "b", "c", "d", "e")[: 3 if fixed else 5]:
            lossy.add(9, callback(name, 1))
        blocks.append(lossy.end(tasks=500, missed=("a", "b", "c", "d", "e")))
    results = judge_history(run(*blocks, races=("deadlock",)), RunState.DONE)
    assert results.races["deadlock"].verdict is RaceState.TRADED
    assert results.verdict is Verdict.FAIL
    [share] = [measure for measure in results.harm if measure.measure == "callbacks_run_share"]
    assert (share.verdict, share.values["fixed"]) == ("worse", 0.6)


def test_a_broken_history_is_noted() -> None:
    whole = run(*decisive())
    results = judge_history(History(whole.entries, "line 9 of history.jsonl is torn"), RunState.DONE)
    assert "the history ends early: line 9 of history.jsonl is torn" in results.notes


def test_why_a_run_ended_early_is_its_error() -> None:
    results = judge_history(run(quiet("stock", 0)), RunState.INTERRUPTED, errors=("the harness was killed",))
    assert results.errors == ("the harness was killed",)


@pytest.mark.parametrize("length", range(4))
def test_the_begin_of_a_history_is_judged_as_unknown_or_refused(length: int) -> None:
    # Nothing, the run, its first arm, its second arm.
    begun = History(run(*decisive()).entries[:length], None)
    if length < 2:
        with pytest.raises(ValueError, match="does not begin with a plan"):
            judge_history(begun, RunState.INTERRUPTED)
    else:
        assert judge_history(begun, RunState.INTERRUPTED).verdict is Verdict.UNKNOWN


def test_every_prefix_of_a_history_can_be_judged_and_none_is_a_pass() -> None:
    blocks = [block.end() for block in (deadlocked("stock", 0, 2), quiet("fixed", 1))]
    whole = run(*blocks)
    for length in range(3, len(whole.entries)):
        results = judge_history(History(whole.entries[:length], None), RunState.INTERRUPTED)
        assert results.verdict is not Verdict.PASS, f"after {length} entries"


def test_the_plan_is_what_the_history_begins_with() -> None:
    plan = planned(run(fixes=FIXED))
    assert (plan.run_id, plan.seed, [(arm.name, arm.fixes) for arm in plan.arms]) == (
        "20270115-080000-abcdef",
        7,
        [("stock", ()), ("fixed", (FIX,))],
    )


# -- what the report shows -------------------------------------------------------------------------------------------


def test_throughput_is_finished_tasks_a_second_of_load_of_complete_blocks() -> None:
    blocks = [
        quiet("stock", 0).end(tasks=600),
        quiet("stock", 1).end(tasks=1200),
        quiet("stock", 2).end(complete=False),
    ]
    rate = judge_history(run(*blocks), RunState.DONE).throughput["stock"]
    assert (rate.task_instances, rate.load_s, rate.task_instances_per_s) == (1800, 120.0, 15.0)


def test_an_arm_without_a_block_has_no_throughput() -> None:
    assert judge_history(run(), RunState.DONE).throughput["fixed"].task_instances_per_s == 0.0


def restart(block: Block, second: float) -> Block:
    block.add(second, events.ComponentExited(component="scheduler-1", pid=101, code=1))
    return block.add(second, events.ComponentStarted(component="scheduler-1", pid=900, restarts=1))


def test_a_block_s_summary_has_its_restarts_and_its_memory() -> None:
    block = restart(quiet("stock", 0), 20)
    for size in (5, 9, 7):
        block.add(30, events.MemorySampled(cluster_bytes=size, harness_bytes=1))
    (summary,) = judge_history(run(block.end(tasks=4)), RunState.DONE).blocks
    assert (summary.restarts, summary.peak_rss_bytes, summary.task_instances) == (1, 10, 4)


def test_every_incident_that_counts_is_shown_with_its_block() -> None:
    block = quiet("stock", 0).add(20, callback("d", 1), callback("d", 1)).end(missed=("d",))
    incidents = judge_history(run(block), RunState.DONE).incidents
    assert [(incident.race, incident.block, incident.arm) for incident in incidents] == [
        ("duplicate_callback", 0, "stock")
    ]


def test_an_arm_between_the_first_and_the_last_is_judged_in_a_note() -> None:
    turns = ("stock", "proposed", "fixed", "fixed", "proposed", "stock", "stock", "proposed", "fixed")
    blocks = [(quiet(arm, n) if arm == "fixed" else deadlocked(arm, n)).end(tasks=500) for n, arm in enumerate(turns)]
    arms: dict[str, list[str]] = {"stock": [], "proposed": [], "fixed": []}
    results = judge_history(run(*blocks, fixes=arms, races=("deadlock",)), RunState.DONE)
    assert results.races["deadlock"].under_test == "fixed"
    assert any(note.startswith("proposed against stock: deadlock remains: ") for note in results.notes)


# -- races of faults -------------------------------------------------------------------------------------------------


def lost(arm: str, number: int, deadlines: int) -> Block:
    """A complete block in which 100 deadlines passed, and no scheduler handled so many of them."""
    block = quiet(arm, number)
    for n in range(deadlines, 100):
        block.add(20, callback(str(n), n))
    left = [
        events.PassedDeadline(
            id=str(n), due_at=at(20), handled=False, state=None, trigger=None, trigger_exists=False, owner=None
        )
        for n in range(deadlines)
    ]
    return block.add(160, settled(callbacks=deadlines), events.DeadlinesPassed(deadlines=left)).end()


def test_a_lost_callback_on_the_arm_under_test_remains_though_control_never_showed_it() -> None:
    results = judge_history(run(lost("stock", 0, 0), lost("fixed", 1, 1), races=("lost_callback",)), RunState.DONE)
    assert results.races["lost_callback"].verdict is RaceState.REMAINS
    assert results.verdict is Verdict.FAIL


def test_a_lost_callback_that_neither_arm_showed_is_unknown_and_says_how_rare_it_may_be() -> None:
    blocks = [lost(arm, n, 0) for n, arm in enumerate(("stock", "fixed", "fixed", "stock", "stock", "fixed"))]
    verdict = judge_history(run(*blocks, races=("lost_callback",)), RunState.DONE).races["lost_callback"]
    assert verdict.verdict is RaceState.UNKNOWN
    # 1 - 0.05 ** (1 / 300)
    assert "0 of 300 passed deadlines on fixed" in verdict.reason
    assert "at most 9.9 per 1,000 with 95 % confidence on fixed" in verdict.reason


def test_a_lost_callback_that_only_control_showed_often_enough_is_removed() -> None:
    arms = ("stock", "fixed", "fixed", "stock", "stock", "fixed", "fixed", "stock", "stock")
    blocks = [lost(arm, n, 10 if arm == "stock" else 0) for n, arm in enumerate(arms)]
    results = judge_history(run(*blocks, races=("lost_callback",)), RunState.DONE)
    assert results.races["lost_callback"].verdict is RaceState.REMOVED


# -- what is taken from the history and not from today's tables --------------------------------------------------------


def with_plan(recorded: History, *added: events.AnyEvent) -> History:
    """The same history as one of the present schema, which begins with these events, too."""
    first = recorded.entries[0]
    run_planned = first.event
    assert isinstance(run_planned, events.RunPlanned)
    entries = [
        Entry(0, first.t, None, msgspec.structs.replace(run_planned, schema=events.SCHEMA)),
        *(Entry(0, first.t, None, event) for event in added),
        *recorded.entries[1:],
    ]
    return History(tuple(entries), None)


def slower() -> History:
    """A race that is gone, and 30 % fewer tasks on the arm under test."""
    arms = ("stock", "fixed", "fixed", "stock", "stock", "fixed", "fixed", "stock", "stock")
    blocks = [
        deadlocked(arm, n).end(tasks=500 + n) if arm == "stock" else quiet(arm, n).end(tasks=350 + n)
        for n, arm in enumerate(arms)
    ]
    return run(*blocks, races=("deadlock",))


def throughput(margin: float, interest: float) -> events.MeasurePlanned:
    return events.MeasurePlanned(
        name="throughput", unit="tasks", worse_if_higher=False, margin=margin, interest=interest, relative=True
    )


@pytest.mark.parametrize(("margin", "state"), [(0.2, RaceState.TRADED), (0.5, RaceState.REMOVED)])
def test_the_margin_of_a_measure_is_the_plan_s(margin: float, state: RaceState) -> None:
    results = judge_history(with_plan(slower(), throughput(margin, interest=margin)), RunState.DONE)
    assert results.races["deadlock"].verdict is state
    assert [(measure.measure, measure.unit) for measure in results.harm] == [("throughput", "tasks")]


def test_a_cost_that_is_no_measure_of_harm_is_shown_and_never_judged() -> None:
    planned_cost = msgspec.structs.replace(throughput(0.2, interest=0.2), harm=False)
    results = judge_history(with_plan(slower(), planned_cost), RunState.DONE)
    assert results.races["deadlock"].verdict is RaceState.REMOVED
    assert results.harm == ()
    [cost] = results.costs
    assert (cost.measure, cost.unit, cost.verdict, cost.margin) == ("throughput", "tasks", "worse", None)


def test_a_run_without_planned_measures_judges_no_harm_and_shows_no_cost() -> None:
    results = judge_history(with_plan(slower()), RunState.DONE)
    assert (results.harm, results.costs) == ((), ())


def test_units_and_summaries_of_races_are_the_plan_s() -> None:
    planned_race = events.RacePlanned(name="deadlock", unit="lock waits", summary="Locks wait in a cycle.")
    verdict = judge_history(with_plan(run(*decisive(), races=("deadlock",)), planned_race), RunState.DONE).races[
        "deadlock"
    ]
    assert (verdict.unit, verdict.about) == ("lock waits", "Locks wait in a cycle.")
    assert "50 of 7,500 lock waits on stock" in verdict.reason


def counted(race: str, *at_s: float) -> events.RaceCounted:
    """What a run's own checker counted, of 100 opportunities."""
    incidents = [
        events.CountedIncident(at_s=t, cause="cycle", signature="a and b", headline="A waited for b.") for t in at_s
    ]
    return events.RaceCounted(race=race, incidents=incidents, opportunities=100, blind=[])


def test_a_race_that_has_no_checker_any_more_is_judged_by_the_counts_of_the_run() -> None:
    arms = ("stock", "fixed", "fixed", "stock", "stock", "fixed", "fixed", "stock", "stock")
    blocks = [
        quiet(arm, n).end().add(67, counted("dropped_race", *((3.0, 2.0) if arm == "stock" else ())))
        for n, arm in enumerate(arms)
    ]
    results = judge_history(run(*blocks, races=("dropped_race",)), RunState.DONE)
    verdict = results.races["dropped_race"]
    assert verdict.verdict is RaceState.REMOVED
    stock = verdict.arms["stock"]
    assert (stock.incidents, stock.opportunities, stock.first_incident_s, stock.causes) == (10, 500, 2.0, {"cycle": 10})
    assert results.incidents[0].witness.headline == "A waited for b."


def test_a_block_in_which_such_a_race_was_not_counted_is_blind() -> None:
    blocks = [quiet("stock", 0).end().add(67, counted("dropped_race", 3.0)), quiet("fixed", 1).end()]
    results = judge_history(run(*blocks, races=("dropped_race",)), RunState.DONE)
    assert results.races["dropped_race"].verdict is RaceState.UNKNOWN
    assert results.blind == (
        "block 1: this version has no checker of dropped_race, and the history holds no count of it",
    )


def test_a_race_that_has_a_checker_is_judged_by_it_and_not_by_the_counts_of_the_run() -> None:
    block = quiet("stock", 0).end().add(67, counted("deadlock", 3.0))
    stock = judge_history(run(block, races=("deadlock",)), RunState.DONE).races["deadlock"].arms["stock"]
    assert (stock.incidents, stock.opportunities) == (0, 1000)


def test_a_measure_that_has_no_reader_any_more_is_judged_by_the_readings_of_the_run() -> None:
    arms = ("stock", "fixed", "fixed", "stock", "stock", "fixed", "fixed", "stock", "stock")
    blocks = [
        (deadlocked(arm, n) if arm == "stock" else quiet(arm, n))
        .end(tasks=500)
        .add(67, events.MeasureCounted(measure="dropped", numerator=1 if arm == "stock" else 9, denominator=1))
        for n, arm in enumerate(arms)
    ]
    planned_measure = events.MeasurePlanned(
        name="dropped", unit="a block", worse_if_higher=True, margin=2.0, interest=0.0, relative=False
    )
    results = judge_history(with_plan(run(*blocks, races=("deadlock",)), planned_measure), RunState.DONE)
    assert [(measure.measure, measure.verdict) for measure in results.harm] == [("dropped", "worse")]
    assert results.races["deadlock"].verdict is RaceState.TRADED
