"""CPU seconds of a block's load by component, over restarts.

A reading is what a component's present process has used since its own start. The meter adds up the differences between
readings of one life; a life that began during the load counts from 0, and one that ended counts up to its last reading.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from stress.cluster.base import CpuReading
from stress.events import CpuUsed

Read = Callable[[], Mapping[str, CpuReading]]


class CpuMeter:
    """Begins when it is made; `sample` from time to time, so that little of a component that ends is lost."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._used: dict[str, float] = defaultdict(float)
        self._last = dict(read())

    def sample(self) -> None:
        """Add what was used since the last sample."""
        for component, reading in self._read().items():
            last = self._last.get(component)
            if last is None or last.life != reading.life or (reading.life == 0 and reading.seconds < last.seconds):
                self._used[component] += reading.seconds
            else:  # less than before is a child whose parent did not wait for it: its time is lost
                self._used[component] += max(0.0, reading.seconds - last.seconds)
            self._last[component] = reading

    def used(self) -> CpuUsed:
        """What was used so far, with a last sample."""
        self.sample()
        return CpuUsed(seconds={component: round(seconds, 3) for component, seconds in sorted(self._used.items())})
