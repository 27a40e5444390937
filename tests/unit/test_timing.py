"""The helpers by which the suites wait."""

from __future__ import annotations

import pytest

from tests.timing import eventually, wait_for


def test_a_condition_that_never_holds_is_given_up() -> None:
    assert not eventually(lambda: False, 0.05, every_s=0.01)


def test_a_condition_is_asked_until_it_holds() -> None:
    answers = iter([False, False, True])
    assert eventually(lambda: next(answers), 300, every_s=0.001)


def test_what_was_awaited_in_vain_is_named() -> None:
    with pytest.raises(AssertionError, match=r"waited 0 s for the sea"):
        wait_for(lambda: False, 0, "the sea")
