"""Which line of the code under test a step is at."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import pytest

from stress.explore import catalogue  # noqa: F401 - makes `airflow_stress_explore` importable

from airflow_stress_explore.core.frames import calling_frame, raising_frame  # isort: skip

HERE = "tests.unit.test_explore_frames:"


def test_the_innermost_frame_is_written_without_a_path() -> None:
    found = calling_frame(sys._getframe())
    assert found.startswith(HERE)
    assert found.endswith(" test_the_innermost_frame_is_written_without_a_path")


def test_the_user_of_a_context_manager_is_meant_and_not_its_body() -> None:
    seen = []

    @contextlib.contextmanager
    def session() -> Iterator[None]:
        yield
        seen.append(calling_frame(sys._getframe()))

    with session():
        pass
    assert seen[0].endswith(" test_the_user_of_a_context_manager_is_meant_and_not_its_body")


def test_an_error_is_raised_where_the_innermost_frame_is() -> None:
    def fails() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError) as caught:
        fails()
    assert raising_frame(caught.value.__traceback__).endswith("<locals>.fails")
    assert raising_frame(None) == ""
