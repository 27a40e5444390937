"""A schedule's short string."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_stress_explore.core.schedule import (
    LETTERS,
    BadSchedule,
    decode,
    decode_positions,
    encode,
    encode_positions,
)
from airflow_stress_explore.core.schedulers import (
    Move,
    NamedOptions,
    RandomScheduler,
    ReplayByName,
    ReplayByPosition,
    ScriptedScheduler,
    SerialScheduler,
)


@dataclass(frozen=True)
class FakeActor:
    """An option of a scheduler."""

    name: str
    next_step: str = ""


def options(*names: str) -> list[FakeActor]:
    return [FakeActor(name) for name in names]


@given(st.lists(st.sampled_from(LETTERS), min_size=1, max_size=80))
def test_a_string_gives_the_same_choices(choices: list[str]) -> None:
    decoded = decode(encode(choices))
    # The count of the last run is left out, because its letter is the default from there on.
    assert decoded == choices[: len(decoded)]
    assert set(choices[len(decoded) :]) <= {decoded[-1]}


@given(st.lists(st.integers(0, 25), max_size=80))
def test_a_string_of_positions_gives_the_same_positions(positions: list[int]) -> None:
    assert decode_positions(encode_positions(positions)).rstrip(b"\0") == bytes(positions).rstrip(b"\0")


@pytest.mark.parametrize(("choices", "text"), [("A", "A"), ("AAAAB", "A4B"), ("ABBA", "A1B2A")])
def test_a_string_is_runs_of_steps(choices: str, text: str) -> None:
    assert encode(choices) == text
    assert decode(text) == list(choices)


def test_defaults_at_the_end_are_left_out() -> None:
    assert encode_positions([0, 0, 0, 0, 1, 0, 2, 0, 0]) == "A4B1A1C"
    assert encode_positions([0, 0]) == encode_positions([]) == "A"


@pytest.mark.parametrize("text", ["", "a", "4", "4A", "A4!", "a3", "AB3", "A3-B", "A4 B1", "-", "A999999999B", "A0B"])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(BadSchedule, match="is no schedule"):
        decode(text)


def test_a_position_that_is_not_possible_is_another_pairs() -> None:
    with pytest.raises(BadSchedule, match=r"takes option C at point 0, where there are 2"):
        ReplayByPosition.of("C").choose(options("go on", "start A"), True)


def test_a_prefix_that_is_not_used_up_is_noticed() -> None:
    scheduler = ReplayByPosition.of("A1B")
    scheduler.choose(options("go on", "start A"), True)
    assert scheduler.unused
    scheduler.choose(options("go on", "start A"), True)
    assert not scheduler.unused


def test_named_options_wait_until_nothing_else_can_go_on() -> None:
    script = NamedOptions(names=("cancel B", "start A"))
    assert script.choose(options("go on", "cancel B"), True) == 0
    assert script.choose(options("answer", "start A"), False) == 0, "its next option is not possible yet"
    assert script.choose(options("answer", "start A", "cancel B"), False) == 2
    assert script.choose(options("answer", "start A"), False) == 1
    assert encode_positions(script.choices) == "A2C1B"
    assert script.missed == ""


def test_named_options_name_the_first_that_did_not_happen() -> None:
    script = NamedOptions(names=("cancel B", "start A"))
    assert script.choose(options("answer", "cancel B"), False) == 1
    assert script.missed == "the event 'start A' did not happen"


def test_a_replay_by_name_takes_the_default_where_a_name_is_missing() -> None:
    scheduler = ReplayByName.of("B1C")
    assert scheduler.choose(options("A", "B"), False) == 1
    assert not scheduler.diverged
    assert scheduler.choose(options("A", "B"), True) == 0
    assert scheduler.diverged


def test_a_serial_scheduler_takes_the_first_of_its_order() -> None:
    scheduler = SerialScheduler(["C", "A", "B"])
    assert scheduler.choose(options("A", "B", "C"), False) == 2
    assert scheduler.choose(options("A", "B"), False) == 0


def test_a_script_moves_on_when_a_statement_is_reached_or_an_actor_blocks() -> None:
    scheduler = ScriptedScheduler([Move("A", "^UPDATE t"), Move("B", "blocked"), Move("A")])
    a, b = FakeActor("A", "SELECT 1"), FakeActor("B", "update  t\nset x")
    assert scheduler.choose([a, b], False) == 0
    assert scheduler.choose([FakeActor("A", "update  t\nset x"), b], True) == 1, "A stands before its statement"
    assert scheduler.choose([b, a], True) == 0, "B goes on until it is blocked"
    assert scheduler.choose([a], False) == 0, "B is blocked, so the turn is A's"
    assert scheduler.choose([b], False) == 0, "the script is over"
    assert scheduler.missed == ""


def test_a_script_whose_first_stop_never_comes_is_missed() -> None:
    scheduler = ScriptedScheduler([Move("A"), Move("B", "^UPDATE t"), Move("C", "^DELETE"), Move("B")])
    assert scheduler.choose([FakeActor("B", "SELECT 1"), FakeActor("C", "DELETE FROM t")], False) == 0
    assert scheduler.choose([FakeActor("C", "DELETE FROM t")], False) == 0, "B has ended"
    assert scheduler.missed == "B did not come to ^UPDATE t"


def test_a_script_without_a_stop_misses_nothing() -> None:
    assert ScriptedScheduler([Move("A"), Move("B", "blocked")]).missed == ""


@given(st.integers(), st.integers(0, 3))
def test_a_random_walk_keeps_to_its_preemptions_and_is_the_same_for_a_seed(seed: int, preemptions: int) -> None:
    points = [(options("A", "B", "C"), number % 3 > 0) for number in range(60)]
    one, other = RandomScheduler(seed, preemptions), RandomScheduler(seed, preemptions)
    taken = [one.choose(*point) for point in points]
    assert taken == [other.choose(*point) for point in points]
    assert sum(choice > 0 for choice, (_, going) in zip(taken, points, strict=True) if going) <= preemptions
