"""Each phase's time goes into the history when the phase is over."""

from __future__ import annotations

from stress.events import PhaseEnded
from stress.phases import LOAD, SETTLING, Phases


def test_a_phase_is_recorded_when_the_next_one_begins() -> None:
    times = iter([10.0, 34.5, 34.5, 36.0])
    recorded: list[PhaseEnded] = []
    phases = Phases(recorded.append, lambda: next(times))
    phases.begin(LOAD)
    assert recorded == []
    phases.begin(SETTLING)
    assert recorded == [PhaseEnded(phase=LOAD, seconds=24.5)]
    phases.end()
    phases.end()
    assert recorded[1:] == [PhaseEnded(phase=SETTLING, seconds=1.5)]
