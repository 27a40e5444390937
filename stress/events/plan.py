"""What a run is asked to decide, and all facts of the plan that a judge would otherwise look up in today's code."""

from __future__ import annotations

import msgspec

from stress.events.base import Event
from stress.results import ArmCode

SCHEMA = 4
"""The schema of histories that are written now. What the earlier ones lack is in `stress/upgrade.py`:

1. the first;
2. adds what harm is measured by (lock time-outs, CPU, wrong replies, double starts), and bounds of histograms;
3. adds the roles that must load a fix;
4. adds the units of races and measures, the margins of measures, and the counts of each block.
"""


class RunPlanned(Event, frozen=True, kw_only=True, tag="run_planned"):
    """The run's identity and what it is asked to decide. `schema` is the history's; 0 before histories named it."""

    run_id: str
    seed: int
    races: list[str]
    scenarios: list[str]
    schema: int = 0


class ArmPlanned(Event, frozen=True, kw_only=True, tag="arm_planned"):
    """One arm of the plan, in order; the first is the control, the last is under test.

    `fix_roles` has, for each fix, the roles whose processes must load it; histories of schema 2 and before have none.
    """

    name: str
    airflow: str
    fixes: list[str]
    config: dict[str, str] = msgspec.field(default_factory=dict)
    code: ArmCode | None = None
    fix_roles: dict[str, list[str]] = msgspec.field(default_factory=dict)


class RacePlanned(Event, frozen=True, kw_only=True, tag="race_planned"):
    """One race of the plan: what happens, and what an opportunity is called, in the plural."""

    name: str
    summary: str
    unit: str


class MeasurePlanned(Event, frozen=True, kw_only=True, tag="measure_planned"):
    """One measure, in the order of reports: its unit, its direction, and from when on it is harm.

    `margin` is the difference that is harm for any p; None: only a shown difference is. `interest` is the least
    difference that is harm once it is shown. Both are shares of the control's value if `relative`, else in the unit.
    Those that are `relative` are costs. One that is not `harm` is shown as a cost and never judged.
    """

    name: str
    unit: str
    worse_if_higher: bool
    margin: float | None
    interest: float
    relative: bool
    harm: bool = True
