"""Moments at which tasks end or triggers fire together: a second of a period of the clock, the same in every process.

Tasks of one site end together when all of them wait for the same warehouse or the same full hour. Processes that
compute such a moment from the clock need no other agreement. `dags/` and the hollow workers use it.

Standard library only; imports nothing of the harness.
"""

from __future__ import annotations

import random
import time

SPREAD_S = 0.1
"""What ends together ends within this time."""


def next_moment(second: float, period_s: float, lead_s: float = 0.05) -> float:
    """The unix time of the next `second` of a period that is at least `lead_s` from now, and up to `SPREAD_S` later."""
    earliest = time.time() + lead_s
    return earliest + (second - earliest) % period_s + random.uniform(0.0, SPREAD_S)  # noqa: S311 - no secret
