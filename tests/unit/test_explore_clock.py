"""The virtual clock: frozen, advanced, and invisible when it is not used."""

from __future__ import annotations

import datetime
import sys
import time
import types
from collections.abc import Iterator

import pytest

from airflow_stress_explore.airflow import clock
from airflow_stress_explore.airflow.clock import CLOCK, VirtualClock

AT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A module of Airflow that asks for the time in each way, with the clock installed."""
    made = types.ModuleType("airflow.asks_for_the_time")
    made.dt = datetime  # type: ignore[attr-defined]
    made.datetime = datetime.datetime  # type: ignore[attr-defined]
    made.time = time  # type: ignore[attr-defined]
    made.monotonic = time.monotonic  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, made.__name__, made)
    clock.install.__wrapped__()
    CLOCK.freeze(AT)
    yield made
    CLOCK.release()


def test_time_stands_still_until_it_is_advanced(module: types.ModuleType) -> None:
    began = module.monotonic()
    assert module.dt.datetime.now(tz=datetime.UTC) == module.datetime.now(datetime.UTC) == AT
    CLOCK.advance(2 * HOUR)
    assert module.dt.datetime.now(tz=datetime.UTC) == AT + 2 * HOUR
    assert module.datetime.utcnow() == (AT + 2 * HOUR).replace(tzinfo=None)
    assert module.monotonic() - began == 7200
    assert module.time.time() == (AT + 2 * HOUR).timestamp()


def test_another_freeze_forgets_what_was_advanced() -> None:
    one = VirtualClock()
    one.freeze(AT)
    one.advance(HOUR)
    one.freeze(AT)
    assert one.now(datetime.UTC) == AT


def test_a_released_clock_gives_the_real_time(module: types.ModuleType) -> None:
    CLOCK.release()
    before = datetime.datetime.now(datetime.UTC)
    assert before <= module.datetime.now(datetime.UTC) <= datetime.datetime.now(datetime.UTC)
    assert abs(module.monotonic() - time.monotonic()) < 60


def test_values_are_plain_datetimes_and_are_recognised(module: types.ModuleType) -> None:
    made = module.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    assert type(made) is datetime.datetime
    assert isinstance(made, module.datetime)
    assert isinstance(made, module.dt.datetime)
    assert issubclass(datetime.datetime, module.datetime)
    assert not isinstance("2024", module.datetime)
    assert module.dt.timedelta is datetime.timedelta


def test_other_modules_keep_the_real_time(module: types.ModuleType) -> None:
    assert module.dt is not datetime
    assert time.monotonic is not CLOCK.monotonic
    assert datetime.datetime.now(datetime.UTC) != AT


@pytest.mark.parametrize(
    ("statement", "sent"),
    [
        ("WHERE run_after <= now()", "WHERE run_after <= TIMESTAMPTZ '2026-01-02T03:04:05+00:00'"),
        ("SELECT CURRENT_TIMESTAMP", "SELECT TIMESTAMPTZ '2026-01-02T03:04:05+00:00'"),
        ("SELECT known() FROM snow", "SELECT known() FROM snow"),
    ],
)
def test_now_in_a_statement_is_the_virtual_time(statement: str, sent: str) -> None:
    one = VirtualClock()
    assert one.in_sql(statement) == statement
    one.freeze(AT)
    assert one.in_sql(statement) == sent
