"""`report.html`: one file that opens offline, holds no script, read top down: verdict, numbers, evidence, set-up.

This module decides what is shown and how much of it; `page.html.jinja` and `page.css` decide how it looks. Everything
that comes from a run (log lines, SQL, names) is escaped by the template engine; the one exception, highlighted SQL, is
escaped here first. The file stays below 2 MB however long the run was: incidents share ticks (timeline.py), and
witnesses, their tables and their cells are cut at the limits below, each time saying so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from stress.judge.wording import p_clause
from stress.report import blind_spots, costs, cycle, text, timeline
from stress.results import (
    ArmCount,
    ArmSummary,
    BlockSummary,
    Incident,
    RaceVerdict,
    Results,
    RunFacts,
    WitnessTable,
)

MAX_WITNESSES = 12
"""Witnesses shown of one race."""

MAX_WITNESS_CHARACTERS = 60_000
"""Characters of all witnesses of one race together."""

MAX_ROWS = 40
"""Rows shown of one witness's table."""

MAX_CELL = 4_000
"""Characters shown of one cell."""

MAX_BLOCKS = 300
"""Rows of the table of blocks."""

MAX_SENTENCES = 100
"""Sentences on blind observers, and notes."""

_GLYPHS = {
    "removed": "✓",
    "pass": "✓",
    "better": "✓",
    "remains": "✗",
    "fail": "✗",
    "worse": "✗",
    "reduced": "↓",
    "traded": "⇄",
    "unknown": "?",
    text.UNDECIDED: "?",
    "~": "",
}
_LONG_CELL = 72  # characters from which a cell is set in a smaller monospaced face
_STATEMENT = re.compile(r"\s*(?:SELECT|UPDATE|INSERT|DELETE|WITH|LOCK|MERGE)\b", re.IGNORECASE)
_LOCKS = re.compile(
    r"\b(FOR (?:NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)(?: OF [\w., ]+?)?(?: (?:SKIP LOCKED|NOWAIT))?)(?=\s|$|[;)])"
    r"|\b(SELECT|UPDATE|INSERT INTO|DELETE FROM|FROM|WHERE|SET|VALUES|LEFT OUTER JOIN|LEFT JOIN|INNER JOIN|JOIN|ON"
    r"|ORDER BY|GROUP BY|LIMIT|RETURNING|WITH|AND|OR|IN|LOCK TABLE)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class CauseRow:
    """Incidents of one cause, on each arm of the run, in order."""

    cause: str
    counts: tuple[str, ...]
    """`3 of 1,200`: the race's opportunities are the denominator of every cause."""


@dataclass(frozen=True)
class Cell:
    """One cell of a witness's table. `whole` is the whole statement where `html` is one without its column list."""

    html: Markup
    kind: str
    """`sql`, `long` or `plain`."""
    whole: Markup | None = None


@dataclass(frozen=True)
class ShownTable:
    """A witness's table, cut to what is shown."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int


@dataclass(frozen=True)
class ShownWitness:
    """The first incident of one cause on one arm. `cycle` is the drawing of a deadlock."""

    incident: Incident
    arm: int
    tables: tuple[ShownTable, ...]
    cycle: cycle.Cycle | None = None


@dataclass(frozen=True)
class RaceSection:
    """Everything on one race; `counts` has an entry for each arm of the run, in order."""

    race: str
    title: str
    about: str
    unit: str
    verdict: RaceVerdict
    state: str
    """The verdict's state, or `undecided`."""
    counts: tuple[ArmCount | None, ...]
    opportunity_change: str
    causes: tuple[CauseRow, ...]
    timeline: timeline.Timeline | None
    witnesses: tuple[ShownWitness, ...]
    witnesses_left_out: int
    how_decided: str


@dataclass(frozen=True)
class ArmFacts:
    """One arm's throughput and what its cluster took."""

    arm: ArmSummary
    task_instances_per_s: float | None
    task_instances: int
    load_s: float
    blocks: int
    cut_short: int
    restarts: int
    peak_rss_bytes: int


def render(results: Results, facts: RunFacts) -> str:
    """The text of `report.html`."""
    return _template().render(
        results=results,
        facts=facts,
        headline=text.printable(text.headline(results)),
        ended=text.ended(results, facts),
        sections=[_section(results, race) for race in results.races],
        arm_facts=_arm_facts(results),
        harm=costs.harm_alone(results),
        cost_rows=costs.rows(results),
        cost_interval=costs.INTERVAL,
        cost_meaning=costs.MEANING,
        blocks=sorted(results.blocks, key=lambda block: block.index)[:MAX_BLOCKS],
        blocks_left_out=max(0, len(results.blocks) - MAX_BLOCKS),
        blind=results.blind[:MAX_SENTENCES],
        blind_left_out=max(0, len(results.blind) - MAX_SENTENCES),
        errors=text.errors_of(results),
        why_ended=text.why_ended(results),
        notes=[note for note in results.notes if note not in text.errors_of(results)][:MAX_SENTENCES],
        blind_spots=blind_spots.of_run(facts.settings, results.races),
        order=" ".join(block.arm for block in sorted(results.blocks, key=lambda block: block.index)[:MAX_BLOCKS]),
        anomaly_witnesses=[
            (witness, _table(witness.table)) for witness in (results.anomalies.unexplained if results.anomalies else ())
        ],
        glyphs=_GLYPHS,
        css=resource("page.css"),
    )


def _section(results: Results, race: str) -> RaceSection:
    verdict = results.races[race]
    incidents = [incident for incident in results.incidents if incident.race == race]
    counts = tuple(verdict.arms.get(arm.name) for arm in results.arms)
    shown, left_out = _witnesses(incidents, results.arms)
    return RaceSection(
        race=race,
        title=text.race_title(race),
        about=verdict.about,
        unit=verdict.unit,
        verdict=verdict,
        state=text.state_word(results, verdict),
        counts=counts,
        opportunity_change=_opportunity_change(verdict),
        causes=_causes(counts),
        timeline=timeline.draw(results.blocks, incidents, results.arms),
        witnesses=shown,
        witnesses_left_out=left_out,
        how_decided=_how_decided(verdict, len(results.races)),
    )


def _opportunity_change(verdict: RaceVerdict) -> str:
    control, under_test = verdict.arms.get(verdict.control), verdict.arms.get(verdict.under_test)
    if control is None or under_test is None or not control.exposure_s or not under_test.exposure_s:
        return text.NONE
    return text.change(under_test.opportunities / under_test.exposure_s, control.opportunities / control.exposure_s)


def _causes(counts: Sequence[ArmCount | None]) -> tuple[CauseRow, ...]:
    return tuple(CauseRow(cause, numbers) for cause, numbers in text.cause_counts(counts))


def _how_decided(verdict: RaceVerdict, races: int) -> str:
    """A sentence on the test behind p."""
    if verdict.p_value is None or verdict.p_adjusted is None:
        return "No test was made."
    blocks = " + ".join(str(count) for count in verdict.blocks.values())
    spread = (
        ""
        if verdict.dispersion is None
        else f" {verdict.control}'s block counts vary {verdict.dispersion:.2f} times as much as independent incidents."
    )
    return (
        f"Permutation of {blocks} whole blocks, one-sided: {p_clause(verdict.p_value)} for this race alone, "
        f"{p_clause(verdict.p_adjusted)} for {text.counted(races, 'race')} together (step-down minP).{spread}"
    )


def _witnesses(incidents: Sequence[Incident], arms: Sequence[ArmSummary]) -> tuple[tuple[ShownWitness, ...], int]:
    """The first incident of each cause on each arm, as many as fit, and how many were left out."""
    numbers = {arm.name: number for number, arm in enumerate(arms)}
    first: dict[tuple[int, str], Incident] = {}
    for incident in sorted(incidents, key=lambda i: (i.block, i.at_s)):
        if incident.arm in numbers:
            first.setdefault((numbers[incident.arm], incident.cause), incident)
    shown: list[ShownWitness] = []
    room = MAX_WITNESS_CHARACTERS
    for (arm, _), incident in sorted(first.items(), key=lambda item: item[0][0]):
        tables = tuple(_table(table) for table in incident.witness.tables)
        witness = ShownWitness(incident, arm, tables, cycle.of(incident.witness.tables))
        room -= sum(len(cell.html) + len(cell.whole or "") for t in tables for row in t.rows for cell in row)
        if len(shown) == MAX_WITNESSES or (room < 0 and shown):
            break
        shown.append(witness)
    return tuple(shown), len(first) - len(shown)


def _table(table: WitnessTable) -> ShownTable:
    return ShownTable(
        caption=text.printable(table.caption),
        header=table.header,
        rows=tuple(tuple(_cell(cell) for cell in row) for row in table.rows[:MAX_ROWS]),
        left_out=max(0, len(table.rows) - MAX_ROWS),
    )


def _cell(value: str) -> Cell:
    value = text.printable(value)
    cut = len(value) - MAX_CELL
    shown = value if cut <= 0 else f"{value[:MAX_CELL]} … ({cut:,} more characters)"
    if _STATEMENT.match(shown):
        short = text.elided(shown)
        return Cell(highlighted(short), "sql", highlighted(shown) if short != shown else None)
    return Cell(escape(shown), "long" if len(shown) > _LONG_CELL else "plain")


def highlighted(statement: str) -> Markup:
    """SQL with its keywords bold and its locking clauses marked; all of it escaped, piece by piece."""
    pieces: list[Markup] = []
    end = 0
    for match in _LOCKS.finditer(statement):
        element = Markup("<mark>{}</mark>") if match.group(1) else Markup("<b>{}</b>")
        pieces += [escape(statement[end : match.start()]), element.format(match.group())]
        end = match.end()
    return Markup("").join([*pieces, escape(statement[end:])])


def _arm_facts(results: Results) -> tuple[ArmFacts, ...]:
    found = []
    for arm in results.arms:
        throughput = results.throughput.get(arm.name)
        blocks: list[BlockSummary] = [block for block in results.blocks if block.arm == arm.name]
        found.append(
            ArmFacts(
                arm=arm,
                task_instances_per_s=throughput.task_instances_per_s if throughput else None,
                task_instances=throughput.task_instances if throughput else 0,
                load_s=throughput.load_s if throughput else 0.0,
                blocks=len(blocks),
                cut_short=sum(1 for block in blocks if not block.complete),
                restarts=sum(block.restarts for block in blocks),
                peak_rss_bytes=max((block.peak_rss_bytes for block in blocks), default=0),
            )
        )
    return tuple(found)


def resource(name: str) -> str:
    """The text of a file beside this module."""
    return files("stress.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    # StrictUndefined: an unknown name in the template fails a test instead of leaving a gap in a report.
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_finalize, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "airflow": lambda arm: text.airflow_of(arm.airflow, arm.code),
        "block_count": text.block_count,
        "harm_value": text.harm_value,
        "anomalies_out_of": text.anomalies_out_of,
        "transitions": text.transitions,
        "count": text.count,
        "counted": text.counted,
        "out_of": text.out_of,
        "per_thousand": text.per_thousand,
        "per_hour": text.per_hour,
        "p": text.p_or_none,
        "bound": text.bound,
        "seconds": text.seconds,
        "megabytes": text.megabytes,
        "moment": text.moment,
        "significant": text.significant,
        "title": text.race_title,
        "without_state": text.without_state,
        "sentence": text.sentence,
    }
    return environment.from_string(resource("page.html.jinja"))


def _finalize(value: object) -> object:
    """Remove unprintable characters from every value of a template; `Markup` is already clean."""
    return text.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
