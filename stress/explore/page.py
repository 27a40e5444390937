"""`stress repro --html FILE`: how the races happen, as one file to attach to an issue.

It opens offline and has no script. The actors stand side by side and time goes down, as in the terminal; each statement
is there whole, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from stress import instrument
from stress.explore import catalogue  # noqa: F401 - makes `airflow_stress_explore` importable
from stress.report import text
from stress.report.page import highlighted, resource

from airflow_stress_explore.core.protocol import MOST_ROWS  # isort: skip
from airflow_stress_explore.core.schedule_table import on_one_line  # isort: skip
from airflow_stress_explore.sql.statement_text import shorten  # isort: skip

_QUIET = ("", "done", "0 rows", "1 rows")
"""Outcomes of a step that say nothing."""


@dataclass(frozen=True)
class Step:
    """A step as the page shows it. `column`: its actor's, from 0. `whole`: the whole statement if `text` is shorter."""

    column: int
    text: Markup
    whole: Markup | None
    locks: tuple[str, ...]
    waited_for: str
    outcome: str

    @property
    def error(self) -> bool:
        """Whether the outcome is a database error or an exception: it has a code or a type, and a message."""
        return ": " in self.outcome


@dataclass(frozen=True)
class Section:
    """One reproducer: what it is, how its first play went, and in how many plays the race occurred."""

    name: str
    summary: str
    result: str
    occurred: int
    actors: tuple[str, ...]
    steps: tuple[Step, ...]
    failures: tuple[Mapping[str, str], ...]

    @property
    def left_out(self) -> bool:
        """Whether the play may have had more steps than the process sends."""
        return len(self.steps) == MOST_ROWS


def section(name: str, summary: str, result: str, plays: Sequence[Mapping[str, Any]]) -> Section:
    """The section of a reproducer, from the lines of its plays."""
    steps = plays[0]["steps"]
    operations: dict[str, str] = {}
    for step in steps:
        operations.setdefault(step["actor"], step["operation"])
    names = sorted(operations)
    return Section(
        name=name,
        summary=summary,
        result=result,
        occurred=sum(not play["ok"] for play in plays),
        actors=tuple(f"{each}: {operations[each]}" for each in names),
        steps=tuple(_step(step, names.index(step["actor"])) for step in steps),
        failures=tuple(plays[0]["failures"]),
    )


def render(sections: Sequence[Section], airflow: str, fixes: str, command: str, written: str) -> str:
    """The page. `written`: the day, as it is printed."""
    occurred = [each for each in sections if each.occurred]
    return _template().render(
        css=resource("page.css"),
        version=f"{instrument.version()} ({instrument.commit()})",
        airflow=airflow,
        fixes=fixes,
        sections=sections,
        headline=_headline(len(occurred), len(sections)),
        command=command,
        written=written,
    )


def _headline(occurred: int, played: int) -> str:
    if played == 1:
        return "The race occurs" if occurred else "The race does not occur"
    return f"{occurred} of {played} reproducers show their race"


def _step(step: Mapping[str, Any], column: int) -> Step:
    whole = text.printable(on_one_line(step["what"]))
    short = text.printable(shorten(step["what"]))
    outcome = step.get("outcome") or ""
    return Step(
        column=column,
        text=highlighted(short),
        whole=highlighted(whole) if short != whole else None,
        locks=tuple(step.get("locks") or ()),
        waited_for=step.get("waited_for") or "",
        outcome="" if outcome in _QUIET else outcome,
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_finalize
    )
    return environment.from_string(files("stress.explore").joinpath("page.html.jinja").read_text(encoding="utf-8"))


def _finalize(value: object) -> object:
    return text.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
