"""A race as one value that names all of its parts as objects. A part that a race lacks is visibly absent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_stress_fixes.fix import Fix
from stress.checkers.view import BlockView
from stress.races.scenario import Scenario
from stress.results import BlockCheck

METRIC_PREFIX = "airflow_stress_"
"""Of the name of every metric."""

Checker = Callable[[BlockView], BlockCheck]


@dataclass(frozen=True)
class Headline:
    """The race's counter: its name without prefix and `_total`, its help text, and what METRICS.md says of it."""

    name: str
    help: str
    one_more: str
    """What it means that the counter rose by one."""

    @property
    def metric(self) -> str:
        """The counter's whole name."""
        return f"{METRIC_PREFIX}{self.name}_total"


@dataclass(frozen=True)
class Reproducer:
    """A reproducer of `stress/explore/catalogue.py`, by its name there, and the fix that removes it alone."""

    name: str
    removed_by: Fix


@dataclass(frozen=True)
class Race:
    """One race. `check`, `causes`, `unit`, `opportunity` and `headline` belong together: a race has all of them or
    none."""

    name: str
    place: int
    """Its position in lists and reports, in ascending order."""

    summary: str
    """What happens, in one sentence: reports and listings show it."""

    issues: tuple[int, ...] = ()
    """Reports of it, as numbers of issues at github.com/apache/airflow."""

    found_by: str = ""
    """How it was found."""

    scenario: Scenario | None = None
    """How a run provokes it. A run cannot ask for a race without a scenario."""

    also: tuple[Scenario, ...] = ()
    """Other scenarios that provoke it, for causes that need a load of their own. Each is asked for by its name."""

    needs_faults: bool = False
    """Whether it is asked for only if the plan has faults: without them Airflow has nothing to recover from."""

    check: Checker | None = None
    causes: tuple[str, ...] = ()
    """The known causes, whose series are present from the start; there may be others."""

    unit: str = ""
    """What an opportunity is called, in the plural."""

    opportunity: str = ""
    """What it means that the counter of opportunities rose by one."""

    headline: Headline | None = None
    reproducers: tuple[Reproducer, ...] = ()
    fixes: tuple[Fix, ...] = ()
    """Ours first, then those that reports propose."""

    also_fixes: tuple[Fix, ...] = ()
    """Those whose causes only the scenarios of `also` provoke."""

    reproduced_by: str = ""
    """A command that shows the race, if neither a reproducer nor a scenario does."""

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """All scenarios that provoke it, the one that is asked for by its name first."""
        return (*(() if self.scenario is None else (self.scenario,)), *self.also)
