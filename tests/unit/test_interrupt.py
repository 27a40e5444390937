"""Ctrl-C and SIGTERM: the first asks, the second insists, and what cleans up is left alone."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from stress.interrupt import SIGNALS, Interrupt, Interrupted


@pytest.fixture
def interrupt() -> Iterator[Interrupt]:
    """An interruption that waits for signals."""
    with Interrupt() as interrupt:
        yield interrupt


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_asks(interrupt: Interrupt, number: signal.Signals) -> None:
    signal.raise_signal(number)
    assert interrupt.requested
    assert interrupt.signal_number == number


def test_without_a_signal_nothing_is_asked(interrupt: Interrupt) -> None:
    assert not interrupt.requested
    assert interrupt.signal_number is None


def test_the_second_signal_raises(interrupt: Interrupt) -> None:
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(Interrupted, match="SIGINT"):
        signal.raise_signal(signal.SIGINT)
    assert interrupt.count == 2


def test_the_exit_code_is_of_the_first_signal(interrupt: Interrupt) -> None:
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGINT)
    assert interrupt.signal_number == signal.SIGTERM


def test_a_pause_without_a_signal_takes_its_time(interrupt: Interrupt) -> None:
    assert interrupt.pause(0.0) is False


def test_a_pause_after_a_signal_takes_none(interrupt: Interrupt) -> None:
    signal.raise_signal(signal.SIGINT)
    assert interrupt.pause(600.0) is True


def test_a_signal_ends_a_pause(interrupt: Interrupt) -> None:
    # The kernel sends it while the pause lasts.
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        assert interrupt.pause(600.0) is True
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_where_it_raises_the_first_signal_raises(interrupt: Interrupt) -> None:
    with pytest.raises(Interrupted), interrupt.raising():
        signal.raise_signal(signal.SIGINT)


def test_where_it_raises_a_signal_that_has_come_already_raises(interrupt: Interrupt) -> None:
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="SIGTERM"), interrupt.raising():
        pytest.fail("nothing is begun after a signal")


def test_after_that_place_the_first_signal_asks_again(interrupt: Interrupt) -> None:
    with interrupt.raising():
        pass
    signal.raise_signal(signal.SIGINT)
    assert interrupt.count == 1


def test_where_it_is_shielded_no_signal_raises(interrupt: Interrupt) -> None:
    with interrupt.shielded():
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
    assert interrupt.count == 3


def test_a_shield_holds_inside_a_place_that_raises(interrupt: Interrupt) -> None:
    with interrupt.raising(), interrupt.shielded():
        signal.raise_signal(signal.SIGINT)
    assert interrupt.requested


def test_a_shield_in_a_shield_does_not_end_the_outer_one(interrupt: Interrupt) -> None:
    with interrupt.shielded():
        with interrupt.shielded():
            pass
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
    assert interrupt.count == 2


def test_nobody_can_swallow_it_as_an_ordinary_error() -> None:
    assert not issubclass(Interrupted, Exception)


def test_afterwards_signals_are_handled_as_before() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupt():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
