"""Were the fixes of an arm there: what each life of each component reported."""

from __future__ import annotations

import msgspec
import pytest

from stress import events
from stress.history import Entry, History
from stress.judge.history import judge_history, planned
from stress.results import RaceState, RunState
from stress.upgrade import upgraded
from tests.unit.histories import Block, fault, run
from tests.unit.test_judge_history import decisive, quiet, restart

FIX = "deadline_claim"  # loaded by schedulers
FIXED = {"stock": [], "fixed": [FIX]}


def reported(block: Block, component: str, pid: int, *statuses: str, second: float) -> Block:
    """A process says what it did with the fix."""
    for status in statuses:
        block.add(second, events.FixReported(component=component, pid=pid, fix=FIX, status=status, detail="why"))
    return block


def loaded(
    block: Block, *components: str, status: str = "loaded", second: float = -8.0, pid: int | None = None
) -> Block:
    """Components report the fix, each by its own process as a container sees it, or by the one that is given."""
    for component in components or ("scheduler-1", "scheduler-2"):
        reported(block, component, 7 if pid is None else pid, "armed", status, second=second)
    return block


def blind_for(*blocks: Block) -> tuple[str, ...]:
    return judge_history(run(*blocks, fixes=FIXED, races=("deadlock",)), RunState.DONE).blind


def test_fixes_that_every_process_loaded_are_trusted() -> None:
    assert blind_for(quiet("stock", 0).end(), loaded(quiet("fixed", 1)).end()) == ()


def test_a_fix_that_is_not_needed_is_trusted() -> None:
    assert blind_for(quiet("stock", 0).end(), loaded(quiet("fixed", 1), status="not_needed").end()) == ()


@pytest.mark.parametrize("status", ["refused", "error", "armed"])
def test_a_fix_that_a_process_did_not_load_is_not_trusted(status: str) -> None:
    block = loaded(loaded(quiet("fixed", 1), "scheduler-1"), "scheduler-2", status=status).end()
    assert "fixed: scheduler-2 of block 1 did not report deadline_claim as loaded" in blind_for(block)


def test_a_process_that_refused_says_why() -> None:
    block = loaded(loaded(quiet("fixed", 1), "scheduler-1"), "scheduler-2", status="refused").end()
    assert "fixed: scheduler-2 refused deadline_claim: why" in blind_for(block)


def test_a_process_that_reported_nothing_is_not_trusted() -> None:
    assert blind_for(loaded(quiet("fixed", 1), "scheduler-1").end()) == (
        "fixed: scheduler-2 of block 1 did not report deadline_claim as loaded",
    )


def test_a_race_whose_fix_was_not_loaded_is_not_removed() -> None:
    blocks = decisive()
    results = judge_history(run(*blocks, fixes=FIXED, races=("deadlock",)), RunState.DONE)
    assert results.races["deadlock"].verdict is RaceState.UNKNOWN


def test_only_the_roles_that_run_the_code_must_load_it() -> None:
    assert not any("triggerer" in reason for reason in blind_for(quiet("fixed", 1).end()))


SECOND_LIFE = ("fixed: scheduler-1 (process 900, restart 1) of block 1 did not report deadline_claim as loaded",)


def test_a_process_that_was_started_again_must_load_it_too() -> None:
    block = restart(loaded(quiet("fixed", 1)), 20).end()
    assert blind_for(block) == SECOND_LIFE


def test_a_process_that_was_started_again_and_loaded_it_is_trusted() -> None:
    block = loaded(restart(loaded(quiet("fixed", 1)), 20), "scheduler-1", second=25).end()
    assert blind_for(block) == ()


def test_a_process_that_was_started_again_just_before_the_end_need_not_have_come_to_it() -> None:
    assert blind_for(restart(loaded(quiet("fixed", 1)), 50).end()) == ()


def test_a_process_that_was_started_again_and_then_paused_need_not_have_come_to_it() -> None:
    block = fault(restart(loaded(quiet("fixed", 1)), 20), "pause", "scheduler-1", 30, 50)
    assert blind_for(block.end()) == ()


def test_a_process_that_was_started_again_and_paused_late_must_load_it() -> None:
    block = fault(restart(loaded(quiet("fixed", 1)), 10), "pause", "scheduler-1", 40, 50)
    assert blind_for(block.end()) == SECOND_LIFE


def test_reports_of_a_block_that_was_cut_short_are_not_missed() -> None:
    assert blind_for(quiet("fixed", 1).end(complete=False)) == ()


def test_what_the_first_process_reported_late_does_not_vouch_for_its_successor() -> None:
    block = loaded(quiet("fixed", 1), "scheduler-2")
    reported(block, "scheduler-1", 101, "armed", second=-8)
    restart(block, 20)
    reported(block, "scheduler-1", 101, "loaded", second=20.4)  # the observer looks twice a second
    assert blind_for(reported(block, "scheduler-1", 900, "armed", second=22).end()) == SECOND_LIFE


def test_the_same_process_id_in_two_containers_is_two_processes() -> None:
    first = loaded(quiet("fixed", 1))
    assert blind_for(reported(restart(first, 20), "scheduler-1", 7, "armed", second=22).end()) == SECOND_LIFE


def test_a_child_that_loaded_it_vouches_for_its_component() -> None:
    block = loaded(quiet("fixed", 1), "scheduler-2")
    reported(block, "scheduler-1", 101, "armed", second=-8)
    assert blind_for(reported(block, "scheduler-1", 150, "armed", "loaded", second=-7).end()) == ()


def test_a_child_that_loaded_it_late_vouches_for_no_successor() -> None:
    block = loaded(quiet("fixed", 1), "scheduler-2")
    reported(block, "scheduler-1", 150, "armed", second=-8)
    reported(restart(block, 20), "scheduler-1", 150, "loaded", second=20.4)
    assert blind_for(block.end()) == SECOND_LIFE


# -- which roles must load a fix -------------------------------------------------------------------------------------


def with_roles(recorded: History, fix: str, roles: list[str]) -> History:
    """The same history, whose arms say which roles must load the fix."""
    entries = []
    for entry in recorded.entries:
        event = entry.event
        if isinstance(event, events.ArmPlanned) and fix in event.fixes:
            event = msgspec.structs.replace(event, fix_roles={fix: roles})
        entries.append(Entry(entry.seq, entry.t, entry.block, event))
    return History(tuple(entries), None)


def test_the_roles_are_those_of_the_history_and_not_of_today_s_fixes() -> None:
    recorded = with_roles(run(quiet("fixed", 1).end(), fixes=FIXED, races=("deadlock",)), FIX, ["dag-processor"])
    assert judge_history(recorded, RunState.DONE).blind == (
        "fixed: dag-processor of block 1 did not report deadline_claim as loaded",
    )


def test_a_fix_that_exists_no_longer_is_judged_by_the_history_s_roles() -> None:
    arms = {"stock": [], "fixed": ["dropped_fix"]}
    recorded = with_roles(run(quiet("fixed", 1).end(), fixes=arms, races=("deadlock",)), "dropped_fix", ["api-server"])
    assert judge_history(recorded, RunState.DONE).blind == (
        "fixed: api-server of block 1 did not report dropped_fix as loaded",
    )


def test_a_fix_without_roles_that_nobody_knows_is_not_trusted() -> None:
    recorded = run(quiet("fixed", 1).end(), fixes={"stock": [], "fixed": ["unheard_of"]}, races=("deadlock",))
    assert judge_history(recorded, RunState.DONE).blind == (
        "fixed: it is not known which components must load unheard_of",
    )


def test_histories_without_roles_are_judged_by_those_of_their_time() -> None:
    [_, fixed] = planned(upgraded(run(fixes={"stock": [], "fixed": ["sweep_row_claims"]}))).arms
    assert fixed.fix_roles == {"sweep_row_claims": ("triggerer", "scheduler")}
