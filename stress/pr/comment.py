"""`comment.md`: the answer for a pull request, in the headings that Airflow's decision records ask for.

The live reproduction comes first: before, after, the frame that raises, the commit boundary, both statements. A count
has its denominator, and no occurrence has its bound.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stress import instrument
from stress.cluster.postgres import server_version
from stress.components import Role, components
from stress.explore.outcome import Outcome
from stress.explore.table import table
from stress.pr import witness
from stress.pr.request import CONTROL, UNDER_TEST, Request
from stress.pr.verdict import Judged, upper95
from stress.races.registry import RACES
from stress.report import costs, text
from stress.results import Results, RunFacts

_LIMIT = 60_000
"""Characters; a comment on GitHub takes 65,536."""


@dataclass(frozen=True)
class Load:
    """The run under load: what it found, and its manifest's facts."""

    results: Results
    facts: RunFacts


def render(request: Request, judged: Sequence[Judged], load: Load | None) -> str:
    """The text of `comment.md`."""
    parts = [
        f"## Live reproduction: {headline(judged)}",
        _setup(request, load),
        *(part for each in judged for part in _race(each, request)),
        cost_section(load),
        "### Repeat\n\nIn a checkout of Airflow that has both commits:\n\n" + _code(command(request, repo="."), "sh"),
    ]
    full = "\n\n".join([*parts, *map(_listing, judged)]) + "\n"
    return full if len(full) <= _LIMIT else ("\n\n".join(parts) + "\n")[:_LIMIT]


def headline(judged: Sequence[Judged]) -> str:
    """`deadlock removed; lost_mark remains`."""
    return "; ".join(f"{each.race} {each.state}" for each in judged)


def command(request: Request, repo: str | None = None) -> str:
    """The command that repeats the comparison, with its revisions and races as they were resolved.

    `repo`: the checkout as the command names it, if not by its path, which may hold the name of a user.
    """
    races = [word for name in request.reasons for word in ("--race", name)]
    revisions = ["--base", request.base, "--head", request.head]
    rest = ["--no-load"] if request.load is None else ["--budget", request.load.budget]
    place = ["--repo", repo or str(request.repo)]
    return shlex.join(["stress", "pr", *place, *revisions, *races, "--times", str(request.times), *rest])


def _setup(request: Request, load: Load | None) -> str:
    lines = [
        f"- control (`{CONTROL}`, the merge base): Airflow {request.control.version}",
        f"- under test (`{UNDER_TEST}`): Airflow {request.under_test.version}",
        f"- backend: PostgreSQL {server_version().split()[-1]}, READ COMMITTED",
        f"- tool: airflow-stress {instrument.version()} at commit {instrument.commit()}",
    ]
    if request.reproducers:
        lines.append(
            "- reproducers: the real functions of each revision, one actor each, in one forced schedule; "
            f"{request.times:,} plays on each revision"
        )
    if load is not None:
        lines += _loaded(load)
    reasons = [f"- {name}: {why}" for name, why in request.reasons.items()]
    return "\n".join(["### Setup", "", *lines, "", "Races, and why:", "", *reasons])


def _loaded(load: Load) -> list[str]:
    """The cluster, its load, and the machine."""
    settings, host = load.facts.settings, load.facts.host
    processors = sum(spec.role is Role.DAG_PROCESSOR for spec in components())
    return [
        f"- load: {settings.get('schedulers', '?')} schedulers, {settings.get('triggerers', '?')} triggerers, "
        f"{text.counted(processors, 'DAG processor')}, {settings.get('api-server workers', '?')} api-server process, "
        f"{settings.get('workers', '?')} task workers, PostgreSQL {settings.get('PostgreSQL', '?')}",
        f"- blocks: {len(load.results.blocks)} of {settings.get('load per block', '?')}, each on a new database, "
        f"seed {load.results.seed}",
        f"- machine: {host.get('cpus', '?')} CPUs, {host.get('memory_gib', '?')} GiB of memory, "
        f"{host.get('machine', '?')}, Linux {host.get('kernel', '?')}",
    ]


def _race(each: Judged, request: Request) -> list[str]:
    parts = [f"### {each.race}: {each.state}", f"{each.reason.rstrip('.')}.", _provoked(each, request)]
    parts.append(_before_and_after(each))
    shown = _witnessed(each)
    if shown is None:
        return parts
    steps = shown["steps"]
    failing = witness.raising(steps)
    lines = []
    if failing is not None:
        at = f"`{failing['frame']}`" if failing["frame"] else f"a step of {failing['operation']}"
        lines.append(
            f"- raises at {at}, in {failing['actor']} ({failing['operation']}): {_one_line(failing['outcome'])}"
        )
    else:
        lines.append("- no frame raises: every transaction commits, and the stored state is wrong")
    lines += [f"- {_one_line(sentence)}" for sentence in witness.boundaries(steps)]
    lines += [f"- violated: {failure['invariant']}: {_one_line(failure['detail'])}" for failure in shown["failures"]]
    parts.append("\n".join(["**The frame that raises, and the commit boundary** (on the control)", "", *lines]))
    parts.append("**Both statements** (on the control)")
    for step in witness.statements(steps):
        at = f" at `{step['frame']}`" if step["frame"] else ""
        parts.append(f"{step['actor']}: {step['operation']}{at}\n\n{_code(text.elided(step['what']), 'sql')}")
    return parts


def _provoked(each: Judged, request: Request) -> str:
    """How the race was provoked: by each reproducer, and by the load."""
    played = {outcome.reproducer for outcome in each.control}
    lines = [f"- `{found.name}`: {found.summary}" for found in request.reproducers if found.name in played]
    scenario = RACES[each.race].scenario
    if each.load is not None and scenario is not None:
        lines.append(f"- load `{scenario.name}`: {scenario.summary}")
    return "\n".join(["How it was provoked:", "", *map(_one_line, lines)])


def _before_and_after(each: Judged) -> str:
    rows = [["", "before (merge base)", "after (head)"], ["---", "---:", "---:"]]
    after = {outcome.reproducer: outcome for outcome in each.under_test}
    rows += [
        [f"reproducer `{outcome.reproducer}`", str(outcome), with_bound(after.get(outcome.reproducer))]
        for outcome in each.control
    ]
    if each.load is not None:
        counts = [each.load.arms.get(arm) for arm in (CONTROL, UNDER_TEST)]
        bound = (
            "" if each.load.rate_ratio_upper95 is None else f"; rate ratio {text.bound(each.load.rate_ratio_upper95)}"
        )
        p = text.p_or_none(each.load.p_adjusted)
        rows.append(
            [
                f"under load, of {each.load.unit}",
                text.out_of(counts[0]),
                f"{text.out_of(counts[1])} (p {p}{bound} with 95 %)",
            ]
        )
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def with_bound(outcome: Outcome | None) -> str:
    """The count of an outcome; without an occurrence, with the bound on its share of plays."""
    if outcome is None:
        return text.NONE
    if outcome.occurred or not outcome.plays:
        return str(outcome)
    return f"{outcome} (below {100 * upper95(outcome.plays):.3g} % of plays with 95 %)"


def cost_section(load: Load | None) -> str:
    """What the head costs under load against the merge base, and the measures of harm that are no costs."""
    if load is None:
        return "### Cost\n\nNot measured: no load was run."
    results = load.results
    rows = [costs.header((CONTROL, UNDER_TEST)), ["---", "---:", "---:", "---:", "---:", "---"], *costs.rows(results)]
    harm = [["harm", CONTROL, UNDER_TEST, "verdict", "p"], ["---", "---:", "---:", "---", "---:"]]
    harm += [
        [m.measure, text.harm_value(m, CONTROL), text.harm_value(m, UNDER_TEST), m.verdict, text.p_or_none(m.p_value)]
        for m in costs.harm_alone(results)
    ]
    tables = ["\n".join(f"| {' | '.join(map(_cell, row))} |" for row in table) for table in (rows, harm)]
    return "\n\n".join(["### Cost", tables[0], f"{_cell(costs.MEANING)}.", tables[1]])


def _witnessed(each: Judged) -> Mapping[str, Any] | None:
    """The first play in which a reproducer occurred on the control."""
    return next((outcome.first for outcome in each.control if outcome.occurred and not outcome.first["ok"]), None)


def _listing(each: Judged) -> str:
    shown = _witnessed(each)
    if shown is None:
        return ""
    title = f"{each.race} on the control, step by step"
    return f"<details><summary>{title}</summary>\n\n{_code(table(shown), 'text')}\n\n</details>"


def _code(content: str, language: str) -> str:
    return f"```{language}\n{text.printable(content)}\n```"


def _one_line(sentence: str) -> str:
    return " ".join(text.printable(sentence).split())


def _cell(value: str) -> str:
    return _one_line(value).replace("|", "\\|")
