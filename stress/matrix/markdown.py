"""`status.md`: the comparison for the issue "Status of testing of Apache Airflow X.Y.Z". Below 60 kB.

The release manager's question there is whether each issue is addressed in the candidate. The table answers it; below it
stand the legend, what was not exercised and why, and for each race that this release has, what happened, statement
beside statement. GitHub shows no file of ours, so that the listings are in the text, folded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from stress.matrix.comparison import Comparison, cost_table, table
from stress.matrix.play import ENOUGH
from stress.matrix.status import Status
from stress.report.costs import MEANING

LIMIT_BYTES = 60_000
"""A comment on GitHub takes 65,536 characters."""

ISSUES = "https://github.com/apache/airflow/issues/"

LEGEND: Mapping[Status, str] = {
    Status.REMAINS: "seen on both releases",
    Status.NEW: "seen on this release; the same reproducer does not see it on the previous one",
    Status.OCCURS: "seen on this release; whether the previous one has it is not known",
    Status.ADDRESSED: "seen on the previous release, and not on this one",
    Status.ABSENT: "not seen on either release",
    Status.NOT_EXERCISED: "no answer for this release; the reason is below the table",
}


def render(found: Comparison, listings: Mapping[str, str]) -> str:
    """The text. `listings`: what happened on this release, by reproducer."""
    parts = [
        f"### Races of Airflow {found.this}, compared with {found.previous}",
        f"{inline(found.headline)}. {_setup(found)}",
        _table(found),
        _legend(found),
        *_list("Reasons:", found.notes()),
        *_list("Not asked:", [f"{race}: {reason}" for race, reason in found.not_asked.items()]),
        *_list("Verdicts under load:", [f"{race}: {verdict}" for race, verdict in found.load_verdicts.items()]),
        *_costs(found),
        f"Repeat with (airflow-stress {inline(found.made_by)}):\n\n```sh\n{found.command}\n```",
    ]
    text = "\n\n".join(parts) + "\n"
    left = []
    for name, listing in listings.items():
        summary = f"<summary>{name} on {found.this}: what happened</summary>"
        block = f"\n<details>{summary}\n\n{_fenced(listing)}\n\n</details>\n"
        if len((text + block).encode()) > LIMIT_BYTES - 500:
            left.append(name)
        else:
            text += block
    return text + (f"\nLeft out for length: the listings of {', '.join(left)}.\n" if left else "")


def inline(value: str) -> str:
    """A value on one line, with the markup of Markdown and its tables escaped."""
    return re.sub(r"([\\`*_\[\]<>|~#&])", r"\\\1", " ".join(value.split()))


def _setup(found: Comparison) -> str:
    text = (
        f"Each reproducer runs Airflow's own functions on PostgreSQL, in an order that it forces, {found.times} times; "
        f"it ends when the race has occurred {ENOUGH} times. `0 of N (< x %)`: the upper 95 % bound."
    )
    if found.load_run is not None and not found.load_error:
        text += (
            " Load: both releases in turn on a cluster with two schedulers, two triggerers and PostgreSQL, "
            "counted against the opportunities of each race."
        )
    return text


def _table(found: Comparison) -> str:
    lines = [("race", "issue", found.previous, found.this, "status"), ("---",) * 5]
    for race, issue, previous, this, status in table(found):
        is_way = race.startswith(" ")
        links = ", ".join(f"[{number}]({ISSUES}{number[1:]})" for number in issue.split(", ") if number)
        name = f"&nbsp;&nbsp;{inline(race.strip())}" if is_way else f"**{inline(race)}**"
        lines.append((name, links, inline(previous), inline(this), status if is_way else f"**{status}**"))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _legend(found: Comparison) -> str:
    used = {row.status for row in found.rows} | {way.status for row in found.rows for way in row.ways}
    return "\n".join(f"- **{status}**: {meaning}" for status, meaning in LEGEND.items() if status in used)


def _list(title: str, sentences: list[str]) -> list[str]:
    return ["\n".join([title, "", *(f"- {inline(sentence)}" for sentence in sentences)])] if sentences else []


def _costs(found: Comparison) -> list[str]:
    header, *rows = cost_table(found) or [[]]
    if not rows:
        return []
    lines = [header, ["---", *(["---:"] * (len(header) - 1))], *rows]
    table = "\n".join(f"| {' | '.join(map(inline, line))} |" for line in lines)
    return ["Costs under load:", table, f"{inline(MEANING)}."]


def _fenced(text: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text.rstrip()}\n{fence}"
