"""Every race on purpose, on every locked release: stock has it each time, fixed never, `proposed` as it deserves.

The command as a user types it, one for all reproducers on each arm, with its own PostgreSQL and process of a release.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re

import pytest

from stress.cli import main
from stress.explore.catalogue import LOCKED, RACES, Engine, Race

TIMES = 5
DATABASE = [race for race in RACES.values() if race.engine is Engine.SQL]

PROPOSED_HELPS = {
    ("deadlock", "3.2.1"),
    ("duplicate_callback_schedulers", "3.1.8"),
    ("duplicate_callback_schedulers", "3.2.1"),
}
"""Where a report's own proposal removes what its reproducer shows."""

PLAYED = re.compile(r"^(\w+) on ([\w.]+), (\w+): (\d+) of (\d+)$", re.MULTILINE)


@functools.cache
def occurrences(version: str, fixes: str) -> dict[str, int]:
    """How often each reproducer of the database occurred on an arm, played by one command."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        names = [race.name for race in DATABASE]
        code = main(["repro", *names, "--airflow", version, "--fixes", fixes, "--times", str(TIMES)])
    found: dict[str, int] = {}
    for name, release, arm, occurred, times in PLAYED.findall(out.getvalue()):
        assert (release, arm, times) == (version, fixes, str(TIMES))
        found[name] = int(occurred)
    # A reproducer whose operations are not in this release is named, and is not in its list of releases.
    missing = {race.name for race in DATABASE if version in race.releases} - found.keys()
    assert not missing
    assert code == (3 if len(found) < len(DATABASE) else int(any(found.values())))
    return found


_CASES = [pytest.param(race, version, id=f"{race.name}-{version}") for race in DATABASE for version in LOCKED]
_HAVING = [case for case in _CASES if case.values[1] in case.values[0].releases]


@pytest.mark.parametrize(("race", "version"), _CASES)
def test_stock_has_the_race_each_time_or_never(race: Race, version: str) -> None:
    expected = TIMES if version in race.releases else 0
    assert occurrences(version, "stock").get(race.name, 0) == expected


@pytest.mark.parametrize(("race", "version"), _HAVING)
def test_fixed_never_has_it(race: Race, version: str) -> None:
    assert occurrences(version, "fixed")[race.name] == 0


@pytest.mark.parametrize(("race", "version"), _HAVING)
def test_what_the_reports_propose(race: Race, version: str) -> None:
    expected = 0 if (race.name, version) in PROPOSED_HELPS else TIMES
    assert occurrences(version, "proposed")[race.name] == expected


@functools.cache
def with_own_fix(version: str, fix: str) -> dict[str, int]:
    """How often the reproducers that a fix removes occurred with it and no other, played by one command."""
    names = [race.name for race in RACES.values() if race.fix == fix and version in race.releases]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(["repro", *names, "--airflow", version, "--fixes", fix, "--times", str(TIMES)])
    return {
        name: int(occurred) for name, _, _, occurred, times in PLAYED.findall(out.getvalue()) if times == str(TIMES)
    }


_OWN = [pytest.param(r, v, id=f"{r.name}-{v}") for r in RACES.values() for v in r.releases]


@pytest.mark.parametrize(("race", "version"), _OWN)
def test_its_own_fix_alone_removes_it(race: Race, version: str) -> None:
    """All fixes together may remove what none of them does, because another race comes first."""
    assert with_own_fix(version, race.fix)[race.name] == 0


def test_a_false_failure_is_removed_without_the_deadlock_that_sets_it_off(capsys: pytest.CaptureFixture[str]) -> None:
    """With all fixes the deadlock that the reproducer needs is gone, too, and would hide a fix that does nothing."""
    words = ["repro", "false_failed", "--airflow", "3.3.2", "--times", str(TIMES), "--fixes", "transient_error_answer"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "40P01" in out
    assert out.splitlines()[-1] == f"false_failed on 3.3.2, transient_error_answer: 0 of {TIMES}"
