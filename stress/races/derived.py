"""Generates the parts of other files that list races: `python -m stress.races.derived`.

Prometheus rules and tables in the documentation cannot import the registry. Their parts that name races are generated
here; the rest of each file is written by hand. A test fails while a file differs from what this module would write.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from airflow_stress_fixes.fix import Fit
from airflow_stress_fixes.known_sources import RELEASES
from stress.layout import ROOT
from stress.races.listing import GAP
from stress.races.race import METRIC_PREFIX, Race
from stress.races.registry import HEADLINES, RACES

Renewal = Callable[[str], str]
"""From a file's text to its text with the generated parts renewed."""

_BEGIN = "registry: {}"
_END = "registry: end"


def main() -> int:
    """Write every file that differs, and print its name."""
    for name, renewed in DERIVED.items():
        path = ROOT / name
        before = path.read_text()
        after = renewed(before)
        if after != before:
            path.write_text(after)
            print(f"{name} written", file=sys.stderr)
    return 0


def _region(text: str, name: str, lines: Iterable[str]) -> str:
    """The text with the lines between the marks of a region replaced; the marks stay."""
    own = re.compile(rf"({re.escape(_BEGIN.format(name))},[^\n]*\n)(.*?)([^\n]*{_END})", re.DOTALL)
    if own.search(text) is None:
        raise ValueError(
            f"no region {name!r}: a line with {_BEGIN.format(name)!r} begins it, one with {_END!r} ends it"
        )
    return own.sub(lambda match: match[1] + "".join(f"{line}\n" for line in lines) + match[3], text, count=1)


def _incident_rules() -> list[str]:
    lines = []
    for race, headline in HEADLINES.items():
        lines += [
            "      - record: cause:airflow_stress_incidents:sum",
            f"        expr: sum by (job, instance, arm, scenario, cause) ({headline.metric})",
            "        labels:",
            f"          race: {race}",
        ]
    return lines


def _recording(text: str) -> str:
    return _region(text, "one rule a race", _incident_rules())


def _alerts(text: str) -> str:
    need_faults = "|".join(sorted(race.name for race in RACES.values() if race.needs_faults))
    found, number = re.subn(r'race!~"[^"]*"', f'race!~"{need_faults}"', text)
    if number != 1:
        raise ValueError(f"{number} expressions exclude races that need a fault, not 1")
    return found


def _headlines(*, needs_faults: bool) -> list[str]:
    rows = [
        f"| `{race.headline.metric}` | arm, scenario, cause | {race.headline.one_more} |"
        for race in RACES.values()
        if race.headline is not None and race.needs_faults is needs_faults
    ]
    return ["| metric | labels | one more means |", "|---|---|---|", *rows]


def _metrics(text: str) -> str:
    text = _region(text, "counters", _headlines(needs_faults=False))
    text = _region(text, "counters under faults", _headlines(needs_faults=True))
    meaning = "; ".join(f"`{race.name}`: {race.opportunity}" for race in RACES.values() if race.opportunity)
    name = f"{METRIC_PREFIX}opportunities_total"
    found, number = re.subn(
        rf"^\| `{name}` \|.*$", f"| `{name}` | race, arm, scenario | {meaning} |".replace("\\", r"\\"), text, flags=re.M
    )
    if number != 1:
        raise ValueError(f"{number} rows of {name}, not 1")
    return found


def _examined(race: Race) -> tuple[str, str]:
    """The release that introduced the defects that our fixes repair, and the release without the last of them."""
    fits = [fix.releases for fix in race.fixes if not fix.proposed]
    having = [release for release in RELEASES if any(fit.get(release) is Fit.APPLIES for fit in fits)]
    if not having:
        return GAP, GAP
    introduced = f"{having[0]} or before" if having[0] == RELEASES[0] else having[0]
    last = RELEASES.index(having[-1])
    return introduced, RELEASES[last + 1] if last + 1 < len(RELEASES) else f"not in {having[-1]}"


def _command(race: Race) -> str:
    if race.reproducers:
        return f"stress repro {race.name}"
    if race.scenario is not None:
        return f"stress run --scenario {race.scenario.name}" + (" --faults all" if race.needs_faults else "")
    return race.reproduced_by


def _findings(text: str) -> str:
    rows = ["| race | report | introduced in | repaired in | found by | reproduce with |", "|---|---|---|---|---|---|"]
    for race in RACES.values():
        reports = ", ".join(f"[#{issue}](https://github.com/apache/airflow/issues/{issue})" for issue in race.issues)
        introduced, repaired = _examined(race)
        name = f"[{race.name}](stress/races/{race.name}/README.md)"
        cells = (name, reports or GAP, introduced, repaired, race.found_by or GAP, f"`{_command(race)}`")
        rows.append(f"| {' | '.join(cells)} |")
    return _region(text, "track record", rows)


DERIVED: Mapping[str, Renewal] = MappingProxyType(
    {
        "dashboards/prometheus/rules/recording.yml": _recording,
        "dashboards/prometheus/rules/alerts.yml": _alerts,
        "METRICS.md": _metrics,
        "FINDINGS.md": _findings,
    }
)
"""Every file with a generated part, by its path in the project."""


if __name__ == "__main__":
    raise SystemExit(main())
