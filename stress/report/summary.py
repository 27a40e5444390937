"""`summary.md`: the verdict and its numbers for a pull request's comment or a CI job's page. Below 60 kB.

What matters most comes first, since a long text is cut at its end: the verdict, why a failed run failed, the tables,
then the reasons.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stress.report import costs, text
from stress.results import Incident, RaceVerdict, Results, RunFacts

LIMIT_BYTES = 60_000  # a comment on GitHub takes 65,536 characters
_CUT = "\n*Cut here: {lines:,} more lines ({size:,} bytes); `report.html` has everything.*\n"
_MAX_WITNESSES = 20


def render(results: Results, facts: RunFacts) -> str:
    """The text of `summary.md`."""
    parts = [
        f"# {str(results.verdict).capitalize()}: {_inline(text.headline(results))}",
        *_errors(results),
        *_judged(results),
        _about(results, facts),
    ]
    return _limited("\n\n".join(part for part in parts if part) + "\n")


def _errors(results: Results) -> list[str]:
    """Why the run failed, before anything else: a reader of a failed CI job looks for that and nothing else."""
    errors = text.errors_of(results)
    return [f"## {text.why_ended(results)}", *(_fenced(error, "text") for error in errors)] if errors else []


def _judged(results: Results) -> list[str]:
    """What the blocks showed; without a block there is no basis for a verdict or a count."""
    if not results.blocks:
        return []
    return [
        _table(results),
        *_harm(results),
        *_costs(results),
        *_anomalies(results),
        *_blind(results),
        "\n".join(f"- **{_inline(text.race_title(r))}** {_inline(v.reason)}" for r, v in results.races.items()),
        *_notes(results),
        *_witnesses(results),
        *_blocks(results),
    ]


def _table(results: Results) -> str:
    arms = [arm.name for arm in results.arms]
    header = ["race", "verdict", *(f"{arm}: incidents" for arm in arms), "p (joint)", "rate ratio, upper 95 %"]
    rows = []
    for race, verdict in results.races.items():
        rows.append(_row(race, verdict, text.state_word(results, verdict), arms))
        for cause, counts in text.cause_counts([verdict.arms.get(arm) for arm in arms]):
            rows.append([f"{text.race_title(race)}: {cause}", "", *counts, "", ""])
    return _markdown_table(header, rows, text_columns=2)


def _harm(results: Results) -> list[str]:
    measures = costs.harm_alone(results)
    if not measures:
        return []
    arms = [arm.name for arm in results.arms]
    rows = [
        [m.measure, *(text.harm_value(m, arm) for arm in arms), m.verdict, text.p_or_none(m.p_value), m.reason]
        for m in measures
    ]
    return ["## Harm", _markdown_table(["measure", *arms, "verdict", "p", "reason"], rows, text_columns=1)]


def _costs(results: Results) -> list[str]:
    if not results.costs:
        return []
    header = costs.header([arm.name for arm in results.arms])
    return ["## Cost", _markdown_table(header, costs.rows(results), text_columns=2), f"{_inline(costs.MEANING)}."]


def _anomalies(results: Results) -> list[str]:
    """Counts of every checker of the model, and the first anomalies that no known race explains."""
    anomalies = results.anomalies
    if anomalies is None:
        return []
    arms = [arm.name for arm in results.arms]
    rows = [
        [text.race_title(checker), anomalies.units[checker], *(text.anomalies_out_of(counts.get(arm)) for arm in arms)]
        for checker, counts in anomalies.checkers.items()
    ]
    checked = ", ".join(f"{arm} {text.transitions(anomalies, arm)}" for arm in arms)
    lines = "\n".join(f"- {_inline(line)}" for line in text.anomaly_lines(anomalies))
    return [
        "## Anomalies",
        f"Transitions checked against the model: {_inline(checked)}. Anomalies decide no verdict.",
        _markdown_table(["checker", "of", *arms], rows, text_columns=2),
        *([lines] if lines else []),
    ]


def _blocks(results: Results) -> list[str]:
    """The order of the blocks, with each race's counts in each."""
    races = list(results.races)
    header = ["block", "arm", *(text.race_title(race) for race in races), "blind"]
    rows = [
        [
            str(block.index),
            block.arm if block.complete else f"{block.arm} (cut short)",
            *(text.block_count(block, race) for race in races),
            "; ".join(block.blind) or text.NONE,
        ]
        for block in sorted(results.blocks, key=lambda block: block.index)
    ]
    return ["## Blocks, in the order in which they ran", _markdown_table(header, rows, text_columns=2)]


def _notes(results: Results) -> list[str]:
    notes = [note for note in results.notes if note not in text.errors_of(results)]
    return ["**Notes:**\n" + "\n".join(f"- {_inline(note)}" for note in notes[:20])] if notes else []


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int) -> str:
    lines = [header, ["---"] * text_columns + ["---:"] * (len(header) - text_columns), *rows]
    return "\n".join("| " + " | ".join(_inline(cell) for cell in line) + " |" for line in lines)


def _row(race: str, verdict: RaceVerdict, state: str, arms: list[str]) -> list[str]:
    counts = [verdict.arms.get(arm) for arm in arms]
    cells = [
        text.NONE if c is None else f"{text.out_of(c)} {verdict.unit} ({text.per_thousand(c)} per 1,000)"
        for c in counts
    ]
    return [
        text.race_title(race),
        state,
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
        f"{_inline(arm.name)}: {_inline(text.arm_line(arm, facts.instrument.fixes))}" for arm in results.arms
    )
    return (
        f"Run {_inline(results.run_id)}, {_inline(text.ended(results, facts))}, "
        f"{text.counted(len(results.blocks), 'block')}, {_inline(facts.runtime)} runtime. {arms}.\n\n"
        f"Reproduce with ({_inline(text.instrument_line(facts))}):\n\n{_fenced(facts.command)}"
    )


def _inline(value: str) -> str:
    """`value` on one line, with the markup of Markdown, its tables and HTML escaped."""
    one_line = " ".join(text.printable(value).split())
    return re.sub(r"([\\`*_\[\]<>|~#&])", r"\\\1", one_line)


def _fenced(value: str, language: str = "sh") -> str:
    """A code block whose fence is longer than any run of backticks within."""
    inside = text.printable(value)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", inside)), default=0))
    return f"{fence}{language}\n{inside}\n{fence}"


def _limited(markdown: str) -> str:
    """Whole lines up to the limit, and how much is left out."""
    data = markdown.encode("utf-8", "replace")
    if len(data) <= LIMIT_BYTES:
        return markdown
    room = LIMIT_BYTES - len(_CUT) - 20  # the numbers are longer than their places
    kept = data[: data.rfind(b"\n", 0, room) + 1] or data[:room]
    left = data[len(kept) :]
    return kept.decode("utf-8", "ignore") + _CUT.format(lines=left.count(b"\n"), size=len(left))
