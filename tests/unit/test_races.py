"""The registry of races: every part of a race is registered, and whatever else lists races agrees with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from stress.arms import fixes
from stress.cli import main
from stress.explore import catalogue as reproducers
from stress.layout import ROOT
from stress.races import derived, listing, registry
from stress.races.race import Race
from stress.races.registry import RACES

ALL = pytest.mark.parametrize("race", RACES.values(), ids=lambda race: race.name)
ASKED_FOR = {
    "deadlock": ("version_churn", "state updates", "deadlocks"),
    "duplicate_callback": ("deadline_miss", "callbacks that ran", "duplicate_callbacks"),
    "out_of_order_frame": ("trigger_cancel", "cancellations in a request", "out_of_order_frames"),
    "stuck_task": ("version_churn", "task instances", "stuck_tasks"),
    "lost_callback": ("deadline_miss", "passed deadlines", "lost_callbacks"),
    "false_failed": ("shared_outlets", "reports answered as stored", "false_failed_tasks"),
    "asset_deadlock": ("shared_outlets", "reports made together", "asset_deadlocks"),
    "fail_fast": ("fail_fast_ends", "reports made together", "fail_fast_overwrites"),
    "stale_trigger_event": ("late_events", "marks and time-outs", "stale_trigger_events"),
    "lost_clear": ("clear_at_end", "clears", "lost_clears"),
    "lost_mark": ("run_marks", "successes in marked runs", "lost_marks"),
}
"""What users and dashboards rely on: the names of races that a run can be asked for, in this order."""


@ALL
def test_a_race_is_named_after_its_package(race: Race) -> None:
    package = ROOT / "stress" / "races" / race.name / "__init__.py"
    assert f'name="{race.name}"' in package.read_text()


def test_every_package_is_a_race() -> None:
    packages = {path.parent.name for path in (ROOT / "stress" / "races").glob("*/__init__.py")}
    assert packages == set(RACES)


def test_no_two_races_have_one_place() -> None:
    assert len({race.place for race in RACES.values()}) == len(RACES)


def test_the_races_of_a_run_keep_their_names_units_and_counters() -> None:
    assert {
        race.name: (race.scenario.name, race.unit, race.headline.name)
        for race in RACES.values()
        if race.scenario is not None and race.headline is not None
    } == ASKED_FOR


def test_a_scenario_that_a_race_has_beside_its_own_is_asked_for_by_name_and_listed() -> None:
    race = RACES["duplicate_callback"]
    assert [scenario.name for scenario in race.scenarios] == ["deadline_miss", "sync_deadline_miss"]
    assert registry.races_of(race.also, faults=False) == ("duplicate_callback",)
    assert registry.races_of(race.scenarios, faults=False) == ("duplicate_callback",)
    row = next(row for row in listing.table() if row[0] == race.name)
    assert row[2] == "deadline_miss"
    assert "sync_deadline_miss" in {row[2] for row in listing.table()}


def test_races_of_a_run_are_reported_in_a_fixed_order() -> None:
    assert tuple(registry.CHECKERS) == tuple(ASKED_FOR)


@ALL
def test_what_counting_needs_is_there_as_a_whole_or_not_at_all(race: Race) -> None:
    parts = (race.check, race.causes, race.unit, race.opportunity, race.headline, race.scenario)
    assert len({bool(part) for part in parts}) == 1


@ALL
def test_a_race_has_the_reproducers_of_its_name_with_the_fixes_that_remove_them(race: Race) -> None:
    catalogued = {each.name: each.fix for each in reproducers.RACES.values() if each.race == race.name}
    assert {each.name: each.removed_by.name for each in race.reproducers} == catalogued


def test_every_reproducer_is_of_a_race() -> None:
    assert {each.race for each in reproducers.RACES.values()} <= set(RACES)


@ALL
def test_what_removes_a_reproducer_is_a_fix_of_its_race(race: Race) -> None:
    assert {each.removed_by.name for each in race.reproducers} <= {fix.name for fix in race.fixes}


@ALL
def test_a_race_has_the_fixes_of_its_name(race: Race) -> None:
    catalogued = {fix.name for fix in fixes.facts() if fix.race == race.name}
    assert {fix.name for fix in race.fixes} == catalogued


def test_every_fix_is_of_a_race() -> None:
    assert {fix.race for fix in fixes.facts()} <= set(RACES)


@ALL
def test_proposed_fixes_come_last(race: Race) -> None:
    assert [fix.proposed for fix in race.fixes] == sorted(fix.proposed for fix in race.fixes)


@ALL
def test_the_issue_of_a_fix_is_one_of_its_races(race: Race) -> None:
    assert {fix.thread for fix in race.fixes} - {0} <= set(race.issues)


@ALL
def test_a_race_can_be_shown(race: Race) -> None:
    assert race.scenario or race.reproducers or race.reproduced_by


@pytest.mark.parametrize("name", derived.DERIVED)
def test_what_is_derived_is_as_the_registry_says(name: str) -> None:
    text = (ROOT / name).read_text()
    assert derived.DERIVED[name](text) == text, "run `python -m stress.races.derived`"


def test_a_file_that_lacks_its_region_is_an_error() -> None:
    with pytest.raises(ValueError, match="no region 'one rule a race'"):
        derived.DERIVED["dashboards/prometheus/rules/recording.yml"]("groups: []\n")


@pytest.mark.parametrize("race", ASKED_FOR)
def test_the_documentation_names_every_race_of_a_run(race: str) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    assert f"`{race}`" in text or race.replace("_", " ") in text


def test_a_part_that_a_race_lacks_is_shown_as_a_gap(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "races"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("orphaned_runner ")]
    assert lines[0].split() == ["orphaned_runner", *"----", "orphaned_runner_loop", "comms_end", "-"]


def test_the_races_are_listed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "races", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [race["race"] for race in found] == list(RACES)
    (lost_mark,) = [race for race in found if race["race"] == "lost_mark"]
    assert lost_mark["reproducers"]["lost_mark_run_success"] == "run_marking_row_locks"
    (runner,) = [race for race in found if race["race"] == "orphaned_runner"]
    assert (runner["scenario"], runner["metric"], runner["checker"]) == (None, None, False)


def test_every_cell_of_the_table_is_filled_or_a_continuation() -> None:
    header, *rows = listing.table()
    assert all(len(row) == len(header) for row in rows)
    assert all(all(row) for row in rows if row[0])


def test_any_other_list_is_json_with_the_table_s_header_as_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "scenarios", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)[0]
    assert (first["scenario"], first["races"]) == ("version_churn", "deadlock")


def test_what_runs_inside_airflow_is_not_imported_by_a_race() -> None:
    imported = [path for path in (ROOT / "stress" / "races").rglob("*.py") if "airflow_stress_dags" in path.read_text()]
    assert [path.relative_to(ROOT) for path in imported] == list[Path]()


def test_every_finding_stands_once_and_its_link_leads_there() -> None:
    index = (ROOT / "FINDINGS.md").read_text()
    links = re.findall(r"^\| \[(\d+)\. .*\]\(([^)#]*)#(\d+)\) \|", index, re.MULTILINE)
    assert [int(number) for number, _, _ in links] == list(range(1, len(links) + 1))
    for number, file, anchor in links:
        page = (ROOT / (file or "FINDINGS.md")).read_text()
        assert anchor == number
        assert page.count(f'<a id="{number}"></a>\n\n## {number}. ') == 1


@ALL
def test_a_race_has_a_page_that_begins_with_its_summary(race: Race) -> None:
    page = (ROOT / "stress" / "races" / race.name / "README.md").read_text()
    title, summary, _ = page.split("\n\n", 2)
    assert (title, " ".join(summary.split())) == (f"# {race.name}", race.summary)
