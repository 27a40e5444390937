"""What happens besides operations: time passes. It is an actor with one step."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from airflow_stress_explore.airflow.clock import CLOCK
from airflow_stress_explore.airflow.operation import Fixture, Response, operation
from airflow_stress_explore.sql.outside import passing

PASSES = datetime.timedelta(hours=2)
"""More than each threshold of the starting states, and than each default of Airflow that an operation asks for."""


@operation("time_passes", "two hours pass, and every time-out and heartbeat threshold with them")
def time_passes(fixture: Fixture, number: int) -> Callable[[], Response]:
    work = passing("two hours pass", lambda: CLOCK.advance(PASSES))
    return lambda: Response(work())
