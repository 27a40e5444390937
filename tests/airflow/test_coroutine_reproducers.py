"""The comms' races on demand: each reproducer strikes on stock every time, and never with its fix (#64620)."""

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

from airflow_stress_explore.aio import ChoiceSearch, ReplayByPosition, search  # noqa: E402 - found above
from airflow_stress_explore.airflow.comms.operations import (  # noqa: E402
    UnknownOperation,
    maker_of,
    missing,
)
from airflow_stress_explore.airflow.comms.pairs import PAIRS, REPRODUCERS  # noqa: E402
from airflow_stress_explore.airflow.comms.serve import scheduler_of  # noqa: E402
from airflow_stress_explore.airflow.comms.surroundings import runs_prepared  # noqa: E402
from airflow_stress_explore.airflow.comms.witness import CommsRecorder  # noqa: E402
from airflow_stress_explore.core.choice_search import Found  # noqa: E402
from stress.explore import catalogue  # noqa: E402 - found above

FIX = "triggerer_comms"
END = "comms_end"
PROPOSAL = "proposed_thread_lock"
TIMES = 20


@pytest.fixture(autouse=True)
def prepared() -> Iterator[None]:
    """Airflow is imported, and standard input is lent to the runners."""
    with runs_prepared():
        yield


@pytest.fixture
def defect(release: str) -> bool:
    """Whether stock has the defect that the fix repairs."""
    return FIXES[FIX].fits(release) is Fit.APPLIES


def struck(race: str) -> list[set[str]]:
    """Play a reproducer as often as the bar says; gives the violated invariants of each time."""
    reproducer = REPRODUCERS[race]
    make = maker_of(reproducer.pair)
    return [{f.invariant for f in make(scheduler_of(reproducer)).run()} for _ in range(TIMES)]


def explored(name: str, preemptions: int = 2) -> tuple[ChoiceSearch, list[Found]]:
    """Explore a pair to the end."""
    make = maker_of(PAIRS[name])
    whole = search(lambda scheduler: make(scheduler).run(), preemptions, 120)
    found = list(whole)
    assert whole.progress.exhausted
    return whole, found


COMMS = [race for race in catalogue.RACES.values() if race.engine is catalogue.Engine.AIO]


@pytest.mark.parametrize("reproducer", COMMS, ids=lambda reproducer: reproducer.name)
def test_reproducer_strikes_every_time_on_stock_and_never_when_fixed(
    mounted: Any, release: str, reproducer: catalogue.Race
) -> None:
    assert FIXES[reproducer.fix].race == reproducer.race
    defect = FIXES[reproducer.fix].fits(release) is Fit.APPLIES
    assert (release in reproducer.releases) == (defect and release in catalogue.LOCKED)
    times = [bool(broken) for broken in struck(reproducer.name)]
    assert times == [defect] * TIMES
    with mounted(reproducer.fix) as status:
        assert status == {reproducer.fix: "loaded" if defect else "not_needed"}
        assert struck(reproducer.name) == [set()] * TIMES


def test_each_reproducers_and_pairs_operations_are_there(release: str) -> None:
    pairs = {**PAIRS, **{name: reproducer.pair for name, reproducer in REPRODUCERS.items()}}
    lacking = {name: missing(pair) for name, pair in pairs.items()}
    assert set(lacking.values()) == {None}, release


def test_reproducers_break_what_they_are_named_after(defect: bool) -> None:
    if not defect:
        pytest.skip("repaired in this release")
    assert struck("out_of_order_frame_cancellation") == [{"out_of_order_frame"}] * TIMES
    assert struck("out_of_order_frame_thread") == [{"different_loop", "out_of_order_frame"}] * TIMES


def test_witness_tells_whose_frame_was_taken(defect: bool) -> None:
    if not defect:
        pytest.skip("repaired in this release")
    reproducer = REPRODUCERS["out_of_order_frame_cancellation"]
    testbed = maker_of(reproducer.pair)(scheduler_of(reproducer))
    testbed.observer = recorder = CommsRecorder()
    assert testbed.run()
    recorder.finish()
    told = [(step.actor, step.what, step.outcome) for step in recorder.rows]
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
    waiting = [(step.locks, step.waited_for) for step in recorder.rows if step.what.startswith("writes frame 0")]
    assert [(len(locks), waits) for locks, waits in waiting] == [(1, "bytes from the supervisor")]


def test_search_finds_the_cancellation_without_a_hint_and_plays_it_again(defect: bool) -> None:
    make = maker_of(PAIRS["comms_with_cancellation"])
    began = time.process_time()
    whole = search(lambda scheduler: make(scheduler).run(), 2, 120)
    found = next(iter(whole), None)
    if not defect:
        assert found is None
        assert whole.progress.exhausted
        return
    assert found is not None
    assert time.process_time() - began < 10
    assert found.failures[0].invariant == "out_of_order_frame"
    for _ in range(TIMES):
        assert make(ReplayByPosition.of(found.schedule)).run() == found.failures


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
    expected = "waits without end: the loop's own thread waits for a lock"
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


def test_search_leaves_no_outcome_out() -> None:
    """What it takes for equivalent is: without pruning there are more schedules, and the same stories."""

    def stories(pruning: bool) -> tuple[set[tuple[Any, ...]], int]:
        make = maker_of(PAIRS["comms_with_cancellation_and_sync"])
        seen = set()

        def run(scheduler: ReplayByPosition) -> list[Any]:
            testbed = make(scheduler)
            testbed.observer = recorder = CommsRecorder()
            failures = testbed.run()
            recorder.finish()
            # When the outside did its part is the schedule; what the tasks did of it is the story.
            outside = ("starts", "its cancellation is asked for")
            seen.add(
                tuple(
                    (step.actor, step.what, step.outcome)
                    for step in recorder.rows
                    if step.what not in outside and step.actor != "supervisor"
                )
            )
            return failures

        whole = search(run, 2, 120, pruning=pruning)
        list(whole)
        assert whole.progress.exhausted
        return seen, whole.progress.tried

    pruned, few = stories(True)
    everything, many = stories(False)
    assert pruned == everything
    assert few < many


def test_release_without_an_operations_parts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import comms as airflow_comms

    monkeypatch.delattr(airflow_comms, "GetVariable")
    missing.cache_clear()
    try:
        with pytest.raises(UnknownOperation, match=r"asend uses airflow\.sdk\.execution_time\.comms\.GetV"):
            maker_of(PAIRS["comms_with_cancellation"])
        maker_of(PAIRS["runner_with_supervisor_gone"])  # the others still run
    finally:
        missing.cache_clear()


def asked(request: dict[str, Any], fixes: str = "") -> tuple[int, list[dict[str, Any]]]:
    """Ask the command; gives its exit code and its lines."""
    answer = subprocess.run(
        [sys.executable, "-m", "airflow_stress_explore.airflow.comms.main"],
        input=json.dumps(request) + "\n",
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
    code, lines = asked({"command": "repro", "reproducers": ["out_of_order_frame_cancellation"], "times": TIMES})
    assert code == 0
    assert [line["kind"] for line in lines] == ["ready"] + ["schedule"] * TIMES + ["summary"]
    assert [line["ok"] for line in lines[1:-1]] == [not defect] * TIMES
    assert (lines[-1]["tried"], lines[-1]["failed"], lines[-1]["release"]) == (TIMES, TIMES * defect, release)
    assert len({json.dumps(line["steps"]) for line in lines[1:-1]}) == 1, "told alike every time"

    again = {
        "command": "replay",
        "pairs": ["out_of_order_frame_cancellation"],
        "schedule": lines[1]["schedule"],
        "times": 1,
    }
    assert asked(again)[1][1] == lines[1]


def test_command_says_whose_comms_it_explored(defect: bool) -> None:
    request = {
        "command": "explore",
        "pairs": ["comms_with_cancellation_and_sync"],
        "preemptions": 1,
        "budget_s": 60,
    }
    _, lines = asked(request, FIX)
    summary = lines[-1]
    assert (summary["failed"], summary["exhausted"]) == (0, True)
    assert ("airflow_stress_fixes" in summary["comms"]) == defect


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"command": "dance"}, "unknown name 'dance' in command (choose from explore, replay, repro)"),
        (
            {"command": "explore", "pairs": ["nobody"]},
            "unknown name 'nobody' in pairs (choose from comms_with_cancellation",
        ),
        (
            {"command": "repro", "reproducers": ["comms"]},
            "unknown name 'comms' in reproducers (choose from out_of_order_frame_cancellation",
        ),
        (
            {"command": "replay", "pairs": ["comms_with_cancellation"], "schedule": "hm!"},
            "'hm!' is no schedule",
        ),
        ({"command": "explore", "pairs": [], "preemptions": "two"}, "preemptions must be a whole number"),
    ],
)
def test_command_refuses_what_it_does_not_know(request_: dict[str, Any], words: str) -> None:
    code, lines = asked(request_)
    assert code == 64
    assert [line["kind"] for line in lines] == ["ready", "error"]
    assert lines[1]["message"].startswith(words)
