"""Every race on purpose, on every locked release: stock has it each time, fixed never, `proposed` as it deserves.

The commands as a user types them, with a PostgreSQL and a release's process of their own each time.
"""

from __future__ import annotations

import pytest

from stress.arms.fixes import facts, fit
from stress.cli import main
from stress.explore.catalogue import LOCKED, RACES, Race

TIMES = 5
DATABASE = [race for race in RACES.values() if not race.coroutines]

PROPOSED_HELPS = {
    ("deadlock", "3.2.1"),
    ("duplicate_callback_schedulers", "3.1.8"),
    ("duplicate_callback_schedulers", "3.2.1"),
}
"""Where a report's own proposal removes what its twin shows."""

_CASES = [pytest.param(race, version, id=f"{race.name}-{version}") for race in DATABASE for version in LOCKED]


def repro(race: Race, version: str, fixes: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run it; its last line, whose count the exit code must agree with."""
    code = main(["repro", race.name, "--airflow", version, "--fixes", fixes, "--times", str(TIMES)])
    captured = capsys.readouterr()
    assert code in (0, 1), captured.err
    last = captured.out.splitlines()[-1]
    assert last.startswith(f"{race.name} on {version}, {fixes}: ")
    assert (code == 0) == (": 0 of " in last)
    return last.rpartition(": ")[2]


@pytest.mark.parametrize(("race", "version"), _CASES)
def test_stock_has_the_race_each_time_or_never(race: Race, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    expected = TIMES if version in race.releases else 0
    assert repro(race, version, "stock", capsys) == f"{expected} of {TIMES}"


@pytest.mark.parametrize(("race", "version"), [case for case in _CASES if case.values[1] in case.values[0].releases])
def test_fixed_never_has_it(race: Race, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    if not any(
        fact.race == race.race and fit(fact.name, version) == "applies" and not fact.proposed for fact in facts()
    ):
        pytest.skip(f"there is no fix of {race.race} for {version} yet")
    assert repro(race, version, "fixed", capsys) == f"0 of {TIMES}"


@pytest.mark.parametrize(("race", "version"), [case for case in _CASES if case.values[1] in case.values[0].releases])
def test_what_the_reports_propose(race: Race, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    expected = 0 if (race.name, version) in PROPOSED_HELPS else TIMES
    assert repro(race, version, "proposed", capsys) == f"{expected} of {TIMES}"
