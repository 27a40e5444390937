"""Whole runs on a fake runtime: every step, the stop rule, interrupts, failures. Only the outside is fake."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from stress import events, history, manifest
from stress.arms.fixes import components_of
from stress.checkers.view import BlockView
from stress.cluster.errors import ClusterError
from stress.judge.costs import MEASURES, costs_of, measure_of
from stress.judge.history import counted_event
from stress.plan import Options, Plan, check
from stress.races import registry
from stress.run.lifecycle import Run
from stress.screen import PlainScreen
from tests.unit.fakes import Script, World, interrupting

pytestmark = pytest.mark.usefixtures("fit_machine")

DECISIVE = {"stock": 10}
COST_S = 40.0
"""About what a block of the script takes: 5 s of start, 15 s of load, some looks."""


def make_plan(tmp_path: Path, **options: Any) -> Plan:
    scenarios = ("version_churn",)
    return check(Options(seed="7", out=str(tmp_path / "run"), scenarios=scenarios, load="15s", **options))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Stock against fixed, 15 s of load a block."""
    return make_plan(tmp_path)


def play(plan: Plan, script: Script, tmp_path: Path) -> tuple[int, World]:
    """Run the plan; its exit code, and what became of its parts."""
    world = World(plan, script, tmp_path)
    return execute(world), world


def execute(world: World) -> int:
    return Run(world.plan, ["run"], PlainScreen(), world.parts()).execute()


def blocks_of(plan: Plan) -> list[events.BlockEnded]:
    entries = history.read(plan.directory / "history.jsonl").entries
    return [entry.event for entry in entries if isinstance(entry.event, events.BlockEnded)]


def results_of(plan: Plan) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((plan.directory / "results.json").read_text())
    return results


def test_a_race_that_only_stock_shows_is_removed_after_nine_blocks(plan: Plan, tmp_path: Path) -> None:
    code, world = play(plan, Script(DECISIVE), tmp_path)
    results = results_of(plan)
    assert (code, results["verdict"], results["races"]["deadlock"]["verdict"]) == (0, "pass", "removed")
    assert len(world.runtime.clusters) == len(results["blocks"]) == 9
    assert (
        sorted(world.runtime.arms) == ["fixed"] * 4 + ["stock"] * 5
        or sorted(world.runtime.arms) == ["fixed"] * 5 + ["stock"] * 4
    )


def test_a_run_leaves_its_manifest_history_and_reports(plan: Plan, tmp_path: Path) -> None:
    play(plan, Script(DECISIVE), tmp_path)
    kept = manifest.load(plan.directory)
    assert (kept.state, kept.error, kept.settings["postgres"]) == ("done", None, "fake")
    written = {path.name for path in plan.directory.iterdir()}
    assert written >= {"manifest.json", "history.jsonl", "report.html", "junit.xml", "summary.md", "metrics.prom"}


def test_everything_that_a_run_started_is_ended(plan: Plan, tmp_path: Path) -> None:
    _, world = play(plan, Script(DECISIVE), tmp_path)
    assert [cluster.stops for cluster in world.runtime.clusters] == [1] * 9
    assert all(load.calls == ["spawn", "release", "ask_to_end", "end"] for load in world.loads)
    assert (world.runtime.closed, world.served) == (1, 1)


def test_the_steps_of_a_block_are_in_their_order(plan: Plan, tmp_path: Path) -> None:
    play(plan, Script(DECISIVE), tmp_path)
    entries = history.read(plan.directory / "history.jsonl").of_block(0)
    marks = (
        *(events.BlockStarted, events.ClusterReady, events.LoadStarted, events.LoadStopped, events.CpuUsed),
        *(events.BlockSettled, events.TasksCounted, events.LoadReported, events.BlockEnded),
    )
    kinds = [type(entry.event) for entry in entries if isinstance(entry.event, marks)]
    assert kinds == list(marks)
    assert [e.event.phase for e in entries if isinstance(e.event, events.PhaseEnded)] == [
        *("starting", "warming up", "load", "settling", "finishing", "stopping"),
    ]


def test_the_history_says_which_components_must_load_each_fix(plan: Plan, tmp_path: Path) -> None:
    play(plan, Script(DECISIVE), tmp_path)
    entries = history.read(plan.directory / "history.jsonl").entries
    [_, fixed] = [entry.event for entry in entries if isinstance(entry.event, events.ArmPlanned)]
    assert fixed.fix_roles == {fix: list(components_of(fix)) for fix in plan.arms[1].fixes}


def test_the_history_holds_what_a_judge_would_look_up(plan: Plan, tmp_path: Path) -> None:
    play(plan, Script(DECISIVE), tmp_path)
    entries = history.read(plan.directory / "history.jsonl").entries
    [run] = [entry.event for entry in entries if isinstance(entry.event, events.RunPlanned)]
    races = [entry.event for entry in entries if isinstance(entry.event, events.RacePlanned)]
    assert run.schema == events.SCHEMA
    assert [(race.name, race.unit, race.summary) for race in races] == [
        (race, registry.RACES[race].unit, registry.RACES[race].summary) for race in plan.races
    ]
    measures = [entry.event for entry in entries if isinstance(entry.event, events.MeasurePlanned)]
    assert tuple(measure_of(measure) for measure in measures) == MEASURES


def test_the_history_holds_what_the_run_counted_in_each_block(plan: Plan, tmp_path: Path) -> None:
    play(plan, Script(DECISIVE), tmp_path)
    stored = history.read(plan.directory / "history.jsonl")
    for block in stored.blocks():
        view = BlockView.of(stored, block)
        checks = [registry.check(race, view) for race in plan.races]
        assert [event for _, event in view.all(events.RaceCounted)] == [counted_event(found) for found in checks]
        readings = {e.measure: (e.numerator, e.denominator) for _, e in view.all(events.MeasureCounted)}
        assert readings == costs_of(view).readings


def test_fixes_that_no_process_loaded_are_no_pass(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = play(plan, Script(DECISIVE, without_fixes=set(range(99))), tmp_path)
    assert code == 2
    assert "did not report" in capsys.readouterr().out


# -- the stop rule ---------------------------------------------------------------------------------------------------


def test_an_undecided_run_uses_its_budget_and_no_more(plan: Plan, tmp_path: Path) -> None:
    code, world = play(plan, Script(), tmp_path)
    assert code == 2
    assert plan.budget_s - COST_S < world.clock.now <= plan.budget_s


def test_the_whole_budget_is_used_if_that_is_asked_for(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, whole_budget=True)
    code, world = play(plan, Script(DECISIVE), tmp_path)
    assert (code, len(world.runtime.clusters) > 9) == (0, True)
    assert plan.budget_s - COST_S < world.clock.now <= plan.budget_s


def test_a_budget_too_small_for_anything_still_has_the_first_turn(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, budget="60s")
    _, world = play(plan, Script(DECISIVE, start_s=50.0), tmp_path)
    assert sorted(world.runtime.arms) == ["fixed", "stock"]


def test_a_blind_block_is_run_again_with_the_same_arm(plan: Plan, tmp_path: Path) -> None:
    code, world = play(plan, Script(DECISIVE, blind={1}), tmp_path)
    assert (code, len(world.runtime.clusters)) == (0, 10)
    assert world.runtime.arms[1] == world.runtime.arms[2]
    assert "block 1: postgres_log was blind: the server's log is gone" in results_of(plan)["blocks"][1]["blind"]


# -- interrupts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_the_first_cluster_starts_is_the_shell_s_exit_code(
    plan: Plan, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    found, world = play(plan, Script(DECISIVE, on_start={0: interrupting(1, number)}), tmp_path)
    assert (found, [cluster.stops for cluster in world.runtime.clusters], world.runtime.closed) == (code, [1], 1)
    assert world.loads[0].calls == ["spawn", "end"]
    assert manifest.load(plan.directory).state == "interrupted"


@pytest.mark.parametrize("signals", [1, 2], ids=["once", "twice"])
def test_a_signal_under_load_ends_it_and_judges_what_there_is(plan: Plan, tmp_path: Path, signals: int) -> None:
    world = World(plan, Script(DECISIVE), tmp_path)
    second_block_s = 40.0
    world.clock.at(second_block_s, interrupting(signals))
    assert execute(world) == 2
    first, second = blocks_of(plan)
    assert (first.complete, second.complete) == (True, False)
    assert second.reason == ("interrupted" if signals == 1 else "Interrupted: SIGINT")
    assert [cluster.stops for cluster in world.runtime.clusters] == [1, 1]
    assert ("ask_to_end" in world.loads[1].calls, world.loads[1].calls[-1]) == (signals == 1, "end")
    assert (results_of(plan)["state"], results_of(plan)["verdict"]) == ("interrupted", "unknown")


# -- failures --------------------------------------------------------------------------------------------------------


def no_room() -> None:
    raise ClusterError("scheduler-1 did not become healthy")


def test_a_cluster_that_fails_ends_the_run_and_what_was_complete_is_judged(plan: Plan, tmp_path: Path) -> None:
    code, world = play(plan, Script(DECISIVE, on_start={2: no_room}), tmp_path)
    assert (code, world.runtime.closed, [cluster.stops for cluster in world.runtime.clusters]) == (3, 1, [1, 1, 1])
    assert [block.complete for block in blocks_of(plan)] == [True, True, False]
    assert blocks_of(plan)[2].reason == "ClusterError: scheduler-1 did not become healthy"
    results = results_of(plan)
    assert results["errors"] == ["scheduler-1 did not become healthy"]
    assert results["races"]["deadlock"]["arms"]["stock"]["incidents"] == 10


def test_a_load_that_ends_before_its_time_fails_the_run(plan: Plan, tmp_path: Path) -> None:
    code, world = play(plan, Script(DECISIVE, load_ends_early={1}), tmp_path)
    assert (code, len(world.runtime.clusters)) == (3, 2)
    [error] = results_of(plan)["errors"]
    assert error == "the load generator ended before its time, with exit code 1; the end of its log:\nits last words"
