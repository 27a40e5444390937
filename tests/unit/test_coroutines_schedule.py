"""A schedule's short string."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_stress_explore.coroutines.schedule import (
    BadScheduleError,
    Chooser,
    Script,
    decode,
    encode,
)


@given(st.lists(st.integers(0, 25), max_size=80))
def test_string_gives_the_same_choices(choices: list[int]) -> None:
    assert list(decode(encode(choices))) == list(bytes(choices).rstrip(b"\0"))


def test_string_only_names_deviations() -> None:
    assert encode([0, 0, 0, 0, 1, 0, 2, 0, 0]) == "4b1c"
    assert encode([0, 0]) == "-"


@pytest.mark.parametrize("text", ["", "a", "4", "4b!", "B", "4b 1c", "4b1", "999999999b"])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(BadScheduleError, match="is no schedule"):
        decode(text)


def test_choice_that_is_not_there_is_another_pairs() -> None:
    with pytest.raises(BadScheduleError, match=r"takes choice 'c' at point 0, where there are 2"):
        Chooser(decode("c")).choose(["go on", "start A"], True, 0)


def test_prefix_that_was_not_used_up_is_noticed() -> None:
    chooser = Chooser(decode("1b"))
    chooser.choose(["go on", "start A"], True, 0)
    assert chooser.unused
    chooser.choose(["go on", "start A"], True, 0)
    assert not chooser.unused


def test_script_waits_until_nothing_else_can_go_on() -> None:
    script = Script(events=("cancel B", "start A"))
    assert script.choose(["go on", "cancel B"], True, 0) == 0
    assert script.choose(["answer", "start A"], False, 0) == 0, "its next event isn't possible yet"
    assert script.choose(["answer", "start A", "cancel B"], False, 0) == 2
    assert script.choose(["answer", "start A"], False, 0) == 1
    assert encode(script.choices) == "2c" + "b"
