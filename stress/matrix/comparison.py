"""What `stress rc` found: the rows of two releases, and what is said of them in every format. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stress.exits import EXIT_UNKNOWN
from stress.matrix.cells import Tried
from stress.matrix.status import PRESENT, Row, Status
from stress.report import costs
from stress.report.results_json import cost
from stress.results import CostChange

FAILED = 1
"""The exit code if a race remains or is new."""


@dataclass(frozen=True)
class Comparison:
    """A release against an earlier one."""

    this: str
    previous: str
    rows: tuple[Row, ...]
    not_asked: Mapping[str, str]
    """The races that this command cannot exercise, with the reason."""

    times: int
    made_by: str
    command: str
    """It repeats the comparison."""

    load_run: str | None = None
    """The directory of the run under load; None without one."""

    load_error: str = ""
    """Why that run failed."""

    load_verdicts: Mapping[str, str] = field(default_factory=dict)
    """Of each race under load: the verdict and its reason."""

    load_costs: tuple[CostChange, ...] = ()
    """What this release costs under load against the previous one."""

    @property
    def exit_code(self) -> int:
        """1 if this release has a race; else 2 if a race is not answered or the load failed; else 0."""
        if any(row.status in PRESENT for row in self.rows):
            return FAILED
        open_rows = any(row.status is Status.NOT_EXERCISED for row in self.rows)
        return EXIT_UNKNOWN if open_rows or self.load_error else 0

    @property
    def headline(self) -> str:
        """One sentence with the number of races in each state."""
        counts = {status: sum(row.status is status for row in self.rows) for status in Status}
        found = ", ".join(f"{status} {count}" for status, count in counts.items() if count)
        races = "1 race" if len(self.rows) == 1 else f"{len(self.rows)} races"
        return f"Airflow {self.this} against {self.previous}: {races}: {found}"

    def notes(self) -> list[str]:
        """Why something was not exercised or failed, a sentence each; one reason of several reproducers once."""
        reasons: dict[tuple[str, str], list[str]] = {}
        for row in self.rows:
            for way in row.ways:
                for release, tried in ((self.previous, way.previous), (self.this, way.this)):
                    if tried.reason:
                        reasons.setdefault((release, f"{tried.state}: {tried.reason}"), []).append(_name(row, tried))
        return [f"{', '.join(names)} on {release}: {reason}" for (release, reason), names in reasons.items()]


def _name(row: Row, tried: Tried) -> str:
    return tried.name if tried.name.startswith(row.race) else f"{row.race} ({tried.name})"


def document(found: Comparison) -> dict[str, Any]:
    """The comparison as JSON."""
    return {
        "version": found.this,
        "against": found.previous,
        "times": found.times,
        "airflow_stress": found.made_by,
        "command": found.command,
        "exit_code": found.exit_code,
        "rows": [_row(row) for row in found.rows],
        "not_asked": dict(found.not_asked),
        "load": None if found.load_run is None else _load(found),
    }


def _load(found: Comparison) -> dict[str, Any]:
    return {
        "run": found.load_run,
        "error": found.load_error,
        "verdicts": dict(found.load_verdicts),
        "costs": [cost(each) for each in found.load_costs],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "race": row.race,
        "issues": list(row.issues),
        "summary": row.summary,
        "status": str(row.status),
        "previous": str(row.previous),
        "this": str(row.this),
        "ways": [
            {"name": way.name, "status": str(way.status), "previous": tried(way.previous), "this": tried(way.this)}
            for way in row.ways
        ],
    }


def tried(each: Tried) -> dict[str, Any]:
    """One way on one release as JSON."""
    return {
        "state": str(each.state),
        "occurred": each.occurred,
        "of": each.of,
        "text": str(each),
        "reason": each.reason or None,
        "link": each.link or None,
    }


def table(found: Comparison) -> list[tuple[str, str, str, str, str]]:
    """Race, issue, previous, this, status: a line a race, and below it a line for each way if there are several."""
    lines = []
    for row in found.rows:
        issues = ", ".join(f"#{issue}" for issue in row.issues)
        if len(row.ways) == 1:
            way = row.ways[0]
            lines.append((row.race, issues, str(way.previous), str(way.this), str(row.status)))
            continue
        lines.append((row.race, issues, str(row.previous), str(row.this), str(row.status)))
        lines += [(f"  {way.name}", "", str(way.previous), str(way.this), str(way.status)) for way in row.ways]
    return lines


def cost_table(found: Comparison) -> list[list[str]]:
    """The costs under load, with their header; empty without a run under load."""
    if not found.load_costs:
        return []
    shown = costs.header((found.previous, found.this), harm=False)
    return [shown, *(costs.row(each, tuple(each.medians)) for each in found.load_costs)]


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text, each column as wide as its widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
