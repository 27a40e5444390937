"""`summary.md`: the verdict and its numbers for a pull request's comment or a CI job's page. Below 60 kB.

What matters most comes first, since a long text is cut at its end: the verdict, its table, then the reasons.
"""

from __future__ import annotations

import re

from stress.judge.wording import opportunity_unit
from stress.report import text
from stress.results import Incident, RaceVerdict, Results, RunFacts

LIMIT_BYTES = 60_000  # a comment on GitHub takes 65,536 characters
_CUT = "\n*Cut here: {lines:,} more lines ({size:,} bytes); `report.html` has everything.*\n"
_MAX_WITNESSES = 20


def render(results: Results, facts: RunFacts) -> str:
    """The text of `summary.md`."""
    parts = [
        f"# {str(results.verdict).capitalize()}: {_inline(text.headline(results))}",
        _table(results),
        *_blind(results),
        "\n".join(f"- **{_inline(text.race_title(r))}** {_inline(v.reason)}" for r, v in results.races.items()),
        *_witnesses(results),
        _about(results, facts),
    ]
    return _limited("\n\n".join(part for part in parts if part) + "\n")


def _table(results: Results) -> str:
    arms = [arm.name for arm in results.arms]
    header = ["race", "verdict", *(f"{arm}: incidents" for arm in arms), "p (joint)", "rate ratio, upper 95 %"]
    rows = [_row(race, verdict, arms) for race, verdict in results.races.items()]
    lines = [header, ["---"] * 2 + ["---:"] * (len(header) - 2), *rows]
    return "\n".join("| " + " | ".join(_inline(cell) for cell in line) + " |" for line in lines)


def _row(race: str, verdict: RaceVerdict, arms: list[str]) -> list[str]:
    counts = [verdict.arms.get(arm) for arm in arms]
    unit = opportunity_unit(race)
    cells = [text.NONE if c is None else f"{text.out_of(c)} {unit} ({text.per_thousand(c)} per 1,000)" for c in counts]
    return [
        text.race_title(race),
        str(verdict.verdict),
        *cells,
        text.p_or_none(verdict.p_adjusted),
        text.bound(verdict.rate_ratio_upper95),
    ]


def _blind(results: Results) -> list[str]:
    if not results.blind:
        return []
    return ["**Not everything was seen:**\n" + "\n".join(f"- {_inline(sentence)}" for sentence in results.blind[:20])]


def _witnesses(results: Results) -> list[str]:
    first: dict[tuple[str, str, str], Incident] = {}
    for incident in results.incidents:
        first.setdefault((incident.race, incident.arm, incident.cause), incident)
    if not first:
        return []
    lines = [
        f"- {_inline(text.race_title(i.race))}, {_inline(i.arm)}, block {i.block} at {text.seconds(i.at_s)}, "
        f"*{_inline(i.cause)}*: {_inline(i.witness.headline)}"
        for i in list(first.values())[:_MAX_WITNESSES]
    ]
    return ["## First incidents by cause\n\n" + "\n".join(lines)]


def _about(results: Results, facts: RunFacts) -> str:
    arms = "; ".join(
        f"{_inline(arm.name)}: Airflow {_inline(arm.airflow)}, fixes {_inline(', '.join(arm.fixes) or 'none')}"
        for arm in results.arms
    )
    return (
        f"Run {_inline(results.run_id)}, {_inline(text.ended(results, facts))}, "
        f"{text.counted(len(results.blocks), 'block')}, {_inline(facts.runtime)} runtime. {arms}.\n\n"
        f"Again:\n\n{_fenced(facts.command)}"
    )


def _inline(value: str) -> str:
    """`value` on one line, with what Markdown, its tables and its HTML would take as markup made harmless."""
    one_line = " ".join(text.printable(value).split())
    return re.sub(r"([\\`*_\[\]<>|~#&])", r"\\\1", one_line)


def _fenced(value: str) -> str:
    """A code block whose fence is longer than any run of backticks within."""
    inside = text.printable(value)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", inside)), default=0))
    return f"{fence}sh\n{inside}\n{fence}"


def _limited(markdown: str) -> str:
    """Whole lines up to the limit, and how much is left out."""
    data = markdown.encode("utf-8", "replace")
    if len(data) <= LIMIT_BYTES:
        return markdown
    room = LIMIT_BYTES - len(_CUT) - 20  # the numbers are longer than their places
    kept = data[: data.rfind(b"\n", 0, room) + 1] or data[:room]
    left = data[len(kept) :]
    return kept.decode("utf-8", "ignore") + _CUT.format(lines=left.count(b"\n"), size=len(left))
