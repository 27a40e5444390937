"""The comms' races on demand: each twin strikes on stock every time, and never with its fix (#64620)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit

ROOT = Path(__file__).resolve().parents[2]
MOUNTED = ROOT / "stress" / "mounted"
for _directory in (MOUNTED, ROOT):
    if str(_directory) not in sys.path:
        sys.path.insert(0, str(_directory))

from airflow_stress_explore.coroutines import comms, pairs, schedule, search, witness  # noqa: E402 - found above
from stress.explore import catalogue  # noqa: E402 - found above

FIX = "triggerer_comms"
END = "comms_end"
FIX_OF = {"out_of_order_frame": FIX, "orphaned_runner": END}
PROPOSAL = "proposed_thread_lock"
TWINS = {twin.race: twin for twin in pairs.TWINS}
PAIRS = {pair.name: pair for pair in pairs.PAIRS}
TIMES = 20


@pytest.fixture(autouse=True)
def theatre() -> Iterator[None]:
    """Airflow is there, and standard input is lent to the runners."""
    with comms.theatre():
        yield


@pytest.fixture
def defect(release: str) -> bool:
    """Whether stock has the defect that the fix repairs."""
    return FIXES[FIX].fits(release) is Fit.APPLIES


def struck(race: str) -> list[set[str]]:
    """Play a twin as often as the bar says; gives what broke each time."""
    twin = TWINS[race]
    make = pairs.stage_maker(twin.pair)
    return [{f.invariant for f in make(twin.chooser()).run()} for _ in range(TIMES)]


def explored(name: str, preemptions: int = 2) -> tuple[search.Search[Any], list[search.Found[Any]]]:
    """Explore a pair to the end."""
    make = pairs.stage_maker(PAIRS[name])
    whole: search.Search[Any] = search.Search(lambda chooser: make(chooser).run(), preemptions, 120)
    found = list(whole)
    assert whole.progress.exhausted
    return whole, found


@pytest.mark.parametrize("twin", catalogue.COROUTINE_RACES, ids=lambda twin: twin.name)
def test_twin_strikes_every_time_on_stock_and_never_when_fixed(
    mounted: Any, release: str, twin: catalogue.Race
) -> None:
    fix = FIX_OF[twin.race]
    defect = FIXES[fix].fits(release) is Fit.APPLIES
    assert (release in twin.releases) == (defect and release in catalogue.LOCKED)
    times = [bool(broken) for broken in struck(twin.name)]
    assert times == [defect] * TIMES
    with mounted(fix) as status:
        assert status == {fix: "loaded" if defect else "not_needed"}
        assert struck(twin.name) == [set()] * TIMES


def test_harness_knows_every_pair_and_twin_there_is() -> None:
    """The harness repeats their names, because it can't import what they are made of."""
    _, lines = asked({"mode": "list"})
    listed = {kind: [line["name"] for line in lines if line["kind"] == kind] for kind in ("pair", "race")}
    assert listed == {
        "pair": list(catalogue.COROUTINE_PAIRS),
        "race": [race.name for race in catalogue.COROUTINE_RACES],
    }
    assert {race.race: FIXES[FIX_OF[race.race]].race for race in catalogue.COROUTINE_RACES} == {
        race: race for race in FIX_OF
    }


def test_twins_break_what_they_are_named_after(defect: bool) -> None:
    if not defect:
        pytest.skip("repaired in this release")
    assert struck("out_of_order_frame_cancellation") == [{"out_of_order_frame"}] * TIMES
    assert struck("out_of_order_frame_thread") == [{"different_loop", "out_of_order_frame"}] * TIMES


def test_witness_tells_whose_frame_was_taken(defect: bool) -> None:
    if not defect:
        pytest.skip("repaired in this release")
    twin = TWINS["out_of_order_frame_cancellation"]
    stage = pairs.stage_maker(twin.pair)(schedule.Script(events=twin.events))
    stage.recorder = recorder = witness.Recorder()
    assert stage.run()
    recorder.finish()
    told = [(step.actor, step.what, step.outcome) for step in recorder.steps]
    wrong = "RuntimeError: Response read out of order! Got frame.id=0, expect_id=1"
    order = [
        ("B", "writes frame 0 (GetVariable B)", None),
        ("B", "its cancellation is asked for", None),
        ("B", "goes on", "is cancelled"),
        ("A", "writes frame 1 (GetVariable A)", None),
        ("supervisor", "answers frame 0, of B", None),
        ("A", "takes frame 0, of B", wrong),
    ]
    assert [line for line in told if line in order] == order
    waiting = [(step.locks, step.waited_for) for step in recorder.steps if step.what.startswith("writes frame 0")]
    assert [(len(locks), waits) for locks, waits in waiting] == [(1, "bytes from the supervisor")]


def test_search_finds_the_cancellation_without_a_hint_and_plays_it_again(defect: bool) -> None:
    make = pairs.stage_maker(PAIRS["comms_with_cancellation"])
    began = time.process_time()
    whole: search.Search[Any] = search.Search(lambda chooser: make(chooser).run(), 2, 120)
    found = next(iter(whole), None)
    if not defect:
        assert found is None
        assert whole.progress.exhausted
        return
    assert found is not None
    assert time.process_time() - began < 10
    assert found.failures[0].invariant == "out_of_order_frame"
    text = schedule.encode(found.choices)
    for _ in range(TIMES):
        assert make(schedule.Chooser(schedule.decode(text))).run() == found.failures


@pytest.mark.parametrize(
    ("pair", "schedules"),
    [("comms_with_cancellation", 5000), ("comms_with_cancellation_and_sync", 300), ("comms_with_foreign_thread", 150)],
)
def test_no_schedule_to_two_preemptions_fails_when_fixed(mounted: Any, pair: str, schedules: int) -> None:
    with mounted(FIX):
        whole, found = explored(pair)
    assert found == []
    assert whole.progress.tried > schedules


@pytest.mark.parametrize(
    "pair", ["comms_with_split_answers", "comms_with_sync_to_async", "comms_with_send_on_the_loop"]
)
def test_no_schedule_to_one_preemption_fails_when_fixed(mounted: Any, pair: str) -> None:
    with mounted(FIX):
        _, found = explored(pair, 1)
    assert found == []


def test_proposal_leaves_the_frames_out_of_order_and_hangs_the_loop(mounted: Any, defect: bool) -> None:
    if not defect:
        pytest.skip("the proposal is not needed in this release")
    with mounted(PROPOSAL) as status:
        assert status == {PROPOSAL: "loaded"}
        assert struck("out_of_order_frame_cancellation") == [{"out_of_order_frame"}] * TIMES
        _, found = explored("comms_with_cancellation", 1)
    details = {failure.invariant: failure.detail for one in found for failure in one.failures}
    assert set(details) == {"out_of_order_frame", "runner_hung"}
    assert details["runner_hung"].endswith("the loop's own thread waits for a lock")


def test_synchronous_call_beside_a_thread_hangs_the_loop_of_releases_with_a_thread_lock(release: str) -> None:
    """3.2.0 and 3.2.1 hold a thread lock in send() while a thread waits for the loop (#65286)."""
    _, found = explored("comms_with_send_on_the_loop", 1)
    hung = {failure.detail.partition(" ")[2] for one in found for failure in one.failures}
    expected = "waits for ever: the loop's own thread waits for a lock"
    assert (expected in hung) == release.startswith(("3.2.0", "3.2.1")), hung


@pytest.mark.parametrize(
    "pair", ["comms_with_supervisor_gone", "runner_with_supervisor_gone", "process_with_supervisor_gone"]
)
def test_nobody_waits_for_a_supervisor_that_is_gone(mounted: Any, release: str, pair: str) -> None:
    """On releases with upstream's reader task a request made after the reader's end is never answered."""
    orphans = FIXES[END].fits(release) is Fit.APPLIES
    _, found = explored(pair)
    assert {f.invariant for one in found for f in one.failures} == ({"runner_hung"} if orphans else set())
    with mounted(FIX, END) as status:
        assert status == {FIX: "not_needed", END: "loaded"} if orphans else {FIX: "loaded", END: "not_needed"}
        assert explored(pair)[1] == []


def test_search_leaves_no_outcome_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it takes for equivalent is: without pruning there are more schedules, and the same stories."""

    def stories() -> tuple[set[tuple[Any, ...]], int]:
        make = pairs.stage_maker(PAIRS["comms_with_cancellation_and_sync"])
        seen = set()

        def run(chooser: schedule.Chooser) -> list[Any]:
            stage = make(chooser)
            stage.recorder = recorder = witness.Recorder()
            failures = stage.run()
            recorder.finish()
            # When the outside did its part is the schedule; what the tasks did of it is the story.
            outside = ("starts", "its cancellation is asked for")
            seen.add(
                tuple(
                    (step.actor, step.what, step.outcome)
                    for step in recorder.steps
                    if step.what not in outside and step.actor != "supervisor"
                )
            )
            return failures

        whole: search.Search[Any] = search.Search(run, 2, 120)
        list(whole)
        assert whole.progress.exhausted
        return seen, whole.progress.tried

    pruned, few = stories()
    monkeypatch.setattr(search, "_equals_a_later_one", lambda *_: False)
    everything, many = stories()
    assert pruned == everything
    assert few < many


def test_release_without_an_operations_parts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import comms as airflow_comms

    monkeypatch.delattr(airflow_comms, "GetVariable")
    pairs.missing.cache_clear()
    try:
        with pytest.raises(comms.UnknownOperationError, match=r"asend uses airflow\.sdk\.execution_time\.comms\.GetV"):
            pairs.stage_maker(PAIRS["comms_with_cancellation"])
        pairs.stage_maker(PAIRS["runner_with_supervisor_gone"])  # the others still run
    finally:
        pairs.missing.cache_clear()


def asked(request: dict[str, Any], fixes: str = "") -> tuple[int, list[dict[str, Any]]]:
    """Ask the command; gives its exit code and its lines."""
    answer = subprocess.run(
        [sys.executable, "-m", "airflow_stress_explore.coroutines", json.dumps(request)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            "PYTHONPATH": os.pathsep.join(map(str, [ROOT / "fixes", MOUNTED])),
            "AIRFLOW_STRESS_FIXES": fixes,
        },
    )
    return answer.returncode, [json.loads(line) for line in answer.stdout.splitlines()]


def test_command_answers_in_json_lines_alone(defect: bool, release: str) -> None:
    code, lines = asked({"mode": "repro", "race": "out_of_order_frame_cancellation", "times": TIMES})
    assert code == 0
    assert [line["kind"] for line in lines] == ["schedule"] * TIMES + ["summary"]
    assert [line["ok"] for line in lines[:-1]] == [not defect] * TIMES
    assert (lines[-1]["tried"], lines[-1]["failed"], lines[-1]["release"]) == (TIMES, TIMES * defect, release)
    assert len({json.dumps(line["steps"]) for line in lines[:-1]}) == 1, "told alike every time"

    again = {"mode": "replay", "race": "out_of_order_frame_cancellation", "schedule": lines[0]["schedule"]}
    assert asked(again)[1][0] == lines[0]


def test_command_says_whose_comms_it_explored(defect: bool) -> None:
    request = {"mode": "explore", "pair": "comms_with_cancellation_and_sync", "preemptions": 1}
    _, lines = asked(request, FIX)
    summary = lines[-1]
    assert (summary["failed"], summary["exhausted"]) == (0, True)
    assert ("airflow_stress_fixes" in summary["comms"]) == defect


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"mode": "dance"}, "there is no mode 'dance': there are repro, explore, replay, list"),
        ({"mode": "explore", "pair": "nobody"}, "there is no pair 'nobody': there are comms_with_cancellation"),
        ({"mode": "repro", "race": "comms"}, "there is no race 'comms': there are out_of_order_frame_cancellation"),
        ({"mode": "replay", "pair": "comms_with_cancellation", "schedule": "hm!"}, "'hm!' is no schedule"),
        ({"mode": "explore", "pair": "all", "preemptions": "two"}, "preemptions must be a whole number"),
    ],
)
def test_command_refuses_what_it_does_not_know(request_: dict[str, Any], words: str) -> None:
    code, lines = asked(request_)
    assert code == 64
    assert [line["kind"] for line in lines] == ["error"]
    assert lines[0]["message"].startswith(words)
