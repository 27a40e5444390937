"""Reports beside counts: why a run failed, harm, causes, blocks, settings, code, and the cycle of a deadlock."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from stress import manifest
from stress.races.registry import RACES
from stress.report import blind_spots, cycle, junit, page, summary, terminal, text
from stress.results import (
    ArmCode,
    HarmMeasure,
    Instrument,
    RaceState,
    Results,
    RunState,
    SettingDifference,
    Verdict,
    WitnessTable,
)
from stress.run.stored import analyse
from tests.unit.histories import Block, manifest_of, run, write
from tests.unit.reported import FACTS, SCHEDULER_STATEMENT, example

ERROR = "`airflow db migrate` failed with exit code 1:\nModuleNotFoundError: No module named 'airflow.sdk.x'"
HARM = (
    HarmMeasure(
        "callbacks that ran", "% of deadlines", {"stock": 100.0, "fixed": 61.2}, "worse", 0.0079, "too few ran"
    ),
    HarmMeasure("throughput", "tasks/s", {"stock": 9.31, "fixed": 9.64}, "~", 0.4),
    HarmMeasure("errors 5xx", "/min", {"stock": 3.0, "fixed": None}, "better", None),
)


@pytest.fixture
def failed(tmp_path: Path) -> Results:
    """A run that failed before its first block, read back from its directory."""
    directory = write(tmp_path / "run", run())
    manifest.save(manifest_of().with_state(RunState.FAILED, error=ERROR), directory)
    return analyse(directory)[1]


# --- a failed run -----------------------------------------------------------------------------------------------------


def test_the_summary_of_a_failed_run_says_why_first_and_has_no_table(failed: Results) -> None:
    lines = [line for line in summary.render(failed, FACTS).splitlines() if line]
    assert lines[0].startswith("# Unknown: The run failed: \\`airflow db migrate\\` failed with exit code 1")
    assert lines[1] == "## Why the run failed"
    assert lines[3:5] == ERROR.splitlines()
    assert not any(line.startswith("|") for line in lines)


def test_the_junit_of_a_failed_run_is_one_error_with_the_reason(failed: Results) -> None:
    root = ET.fromstring(junit.render(failed, FACTS))
    (case,) = root.iter("testcase")
    error = case.find("error")
    assert error is not None
    assert (case.get("name"), error.get("message"), error.text) == ("run", ERROR.splitlines()[0], ERROR)
    assert (root.get("tests"), root.get("errors")) == ("1", "1")


def test_a_failed_run_with_blocks_has_its_reason_before_its_races(tmp_path: Path) -> None:
    directory = write(tmp_path / "run", run(Block("stock", 0).end(), Block("fixed", 1).end()))
    manifest.save(manifest_of().with_state(RunState.FAILED, error=ERROR), directory)
    results = analyse(directory)[1]
    names = [case.get("name") for case in ET.fromstring(junit.render(results, FACTS)).iter("testcase")]
    assert names == ["run", *results.races, "harm"]
    markdown = summary.render(results, FACTS)
    assert markdown.index("ModuleNotFoundError") < markdown.index("| race |")


def test_the_page_and_the_terminal_of_a_failed_run_begin_with_the_reason(failed: Results) -> None:
    shown = terminal.render(failed)
    assert shown.startswith(f"failed: {ERROR}\n")
    assert "race  " not in shown
    html = page.render(failed, FACTS)
    assert html.index("Why the run failed") < html.index("<main>")
    assert "0 of 0" not in html


def test_errors_of_the_results_come_before_notes() -> None:
    results = replace(example(state=RunState.FAILED), errors=("no space left",), verdict=Verdict.UNKNOWN)
    assert text.headline(results).startswith("The run failed: no space left.")


def test_an_interrupted_run_says_that_it_was_interrupted_and_not_that_it_failed() -> None:
    results = replace(example(state=RunState.INTERRUPTED), errors=("the harness was killed",))
    assert terminal.render(results).startswith("interrupted: the harness was killed\n")
    for report in (summary.render(results, FACTS), page.render(results, FACTS)):
        assert "Why the run was interrupted" in report
        assert "Why the run failed" not in report


@pytest.mark.parametrize("open_state", [RaceState.UNKNOWN, RaceState.REMAINS])
def test_what_a_run_left_open_is_undecided_unless_the_run_is_done(open_state: RaceState) -> None:
    def rows(state: RunState, decided_after: int | None) -> list[str]:
        """The state of the deadlock in the tables of the terminal, the summary and the page."""
        made = example(state=state)
        verdict = replace(made.races["deadlock"], verdict=open_state, decided_after=decided_after)
        results = replace(made, races={**made.races, "deadlock": verdict}, verdict=Verdict.UNKNOWN)
        html = page.render(results, FACTS)
        table = html[html.index('id="races"') :]
        shown = re.search(r'class="state (\w+)"', table)
        markdown = re.search(r"^\| deadlock \| (\w+) \|", summary.render(results, FACTS), re.MULTILINE)
        printed = re.search(r"^deadlock +(\w+) ", terminal.render(results), re.MULTILINE)
        return [found[1] for found in (shown, markdown, printed) if found is not None]

    for state in (RunState.INTERRUPTED, RunState.FAILED):
        assert rows(state, None) == ["undecided"] * 3
        assert rows(state, 9) == [str(open_state)] * 3
    assert rows(RunState.DONE, None) == [str(open_state)] * 3


def test_a_traded_race_is_undecided_in_no_run() -> None:
    verdict = replace(example().races["deadlock"], verdict=RaceState.TRADED, decided_after=None)
    assert text.state_word(example(state=RunState.FAILED), verdict) == "traded"


def test_a_run_that_did_not_fail_has_no_reason_of_a_failure() -> None:
    assert text.errors_of(example()) == ()
    assert "Why the run" not in summary.render(example(), FACTS)


# --- harm -------------------------------------------------------------------------------------------------------------


def test_every_report_has_the_table_of_harm() -> None:
    results = replace(example(), harm=HARM)
    markdown, html, shown = summary.render(results, FACTS), page.render(results, FACTS), terminal.render(results)
    assert (
        "| callbacks that ran | 100 % of deadlines | 61.2 % of deadlines | worse | 0.0079 | too few ran |" in markdown
    )
    assert re.search(r"callbacks that ran +worse +100 % of deadlines +61.2 % of deadlines +0.0079", shown)
    assert re.search(r"errors 5xx +better +3 /min +– +–", shown)
    assert html.count('class="state worse"') == 1
    assert "too few ran" in html


def test_harm_fails_its_case_in_junit_and_no_harm_passes() -> None:
    def case(harm: tuple[HarmMeasure, ...]) -> ET.Element | None:
        root = ET.fromstring(junit.render(replace(example(), harm=harm), FACTS))
        return next((case for case in root.iter("testcase") if case.get("name") == "harm"), None)

    worse, fine = case(HARM), case(HARM[1:])
    assert worse is not None
    assert fine is not None
    failure = worse.find("failure")
    assert failure is not None
    assert failure.get("message", "").startswith("callbacks that ran: worse, stock 100 % of deadlines, fixed 61.2")
    assert fine.find("failure") is None
    assert case(()) is None


def test_a_traded_race_is_a_failure_and_is_named_with_what_it_cost() -> None:
    results = example()
    races = {**results.races, "deadlock": replace(results.races["deadlock"], verdict=RaceState.TRADED)}
    results = replace(results, races=races, verdict=Verdict.FAIL, harm=HARM)
    assert text.headline(results) == "Deadlock is gone on fixed, which is worse in callbacks that ran."
    root = ET.fromstring(junit.render(results, FACTS))
    assert [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None] == [
        "deadlock",
        "harm",
    ]
    assert 'class="state traded"' in page.render(results, FACTS)


# --- causes and blocks ------------------------------------------------------------------------------------------------


def test_each_cause_is_a_row_of_the_races_table() -> None:
    rows = summary.render(example(), FACTS).splitlines()
    (row,) = [row for row in rows if row.startswith("| duplicate callback: two triggerers")]
    assert re.search(r"\| 74 of \d+ \| 0 of \d+ \|", row)
    assert page.render(example(), FACTS).count('<tr class="cause">') == 4


def test_the_blocks_stand_in_their_order_with_their_counts() -> None:
    results = example()
    first = replace(results.blocks[0], counts={"deadlock": (11, 1741)}, blind=("receipts was blind for 3 s",))
    results = replace(results, blocks=(*results.blocks[1:], first))
    html = page.render(results, FACTS)
    assert "<p>stock fixed fixed stock stock fixed fixed stock stock</p>" in html
    assert ">11 of 1,741</td>" in html
    assert "receipts was blind for 3 s" in html
    markdown = summary.render(results, FACTS)
    assert "| 0 | stock | 11 of 1,741 | – | – | receipts was blind for 3 s |" in markdown


# --- settings, code, instrument ---------------------------------------------------------------------------------------


def test_settings_stand_beside_their_defaults() -> None:
    difference = SettingDifference("PostgreSQL", "deadlock_timeout", "100 ms", "1000 ms")
    html = page.render(example(), replace(FACTS, differences=(difference,)))
    assert re.search(
        r"<td>PostgreSQL</td><th[^>]*><code>deadlock_timeout</code></th><td><code>100 ms</code></td>"
        r"<td><code>1000 ms</code></td>",
        html,
    )


def test_every_report_names_the_code_that_really_ran_and_the_instrument() -> None:
    results = example()
    code = ArmCode("checkout", "airflow-pr", "3.4.0.dev0", "0123456789ab-dirty")
    arms = (results.arms[0], replace(results.arms[1], code=code))
    facts = replace(FACTS, instrument=Instrument("9.8.7", "fedcba987654", {"deadline_claim": "aaaabbbbcccc"}))
    for render in (page.render, junit.render, summary.render):
        report = render(replace(results, arms=arms), facts).replace("\\", "")
        assert "3.4.0.dev0 (checkout airflow-pr at 0123456789ab-dirty) on the packages of 3.2.1" in report
        for part in ("9.8.7", "fedcba987654", "aaaabbbbcccc", FACTS.command):
            assert part in report
    assert "Reproduce with" in page.render(results, facts)
    assert "Reproduce with" in summary.render(results, facts)


def test_what_is_not_judged_depends_on_the_run() -> None:
    def spots(**settings: str) -> set[str]:
        return {spot.what for spot in blind_spots.of_run(settings, RACES)}

    everywhere = {spot.what for spot in blind_spots.BLIND_SPOTS if not spot.setting}
    assert len(everywhere) > 8
    assert spots(workers="real", faults="kill") == everywhere
    assert len(spots(workers="hollow") - everywhere) == 2
    assert len(spots(**{"workers": "real", "faults": "kill", "api-server workers": "1"}) - everywhere) == 1
    html = page.render(example(), FACTS)
    shown = blind_spots.of_run(FACTS.settings, example().races)
    expected = [str(spot.what).replace("'", "&#39;") for spot in shown]
    assert len(expected) > len(everywhere)
    assert [what for what in expected if what not in html] == []


def test_a_known_race_that_was_not_judged_is_named_with_the_reason() -> None:
    why = {spot.what.partition(":")[0]: spot.why for spot in blind_spots.of_run({}, ("deadlock",))}
    assert "deadlock" not in why
    assert why["fail_fast"] == "it was not asked for (`--race fail_fast`)"
    assert why["stuck_task"] == "it is judged with `--faults`"
    assert why["orphaned_runner"] == "no load provokes it; `stress repro orphaned_runner` shows it"
    assert why["scheduling_retry"].endswith("shows it")


# --- a deadlock's witness ---------------------------------------------------------------------------------------------


def test_columns_are_left_out_and_the_whole_statement_is_there_on_demand() -> None:
    html = page.render(example(), FACTS)
    short = re.search(r'<td class="sql"[^>]*>(.*?)<details><summary>whole statement</summary>(.*?)</details>', html)
    assert short is not None
    plain = [re.sub(r"<[^>]+>", "", part) for part in short.groups()]
    assert plain[0].startswith("SELECT ... FROM task_instance JOIN dag_run AS dag_run_1 ON")
    assert plain[0].endswith("FOR UPDATE")
    assert plain[1].startswith("SELECT task_instance.id, task_instance.state,")


def test_a_statement_without_columns_to_leave_out_stays_as_it_is() -> None:
    assert text.elided(SCHEDULER_STATEMENT) == SCHEDULER_STATEMENT


def test_an_inserted_rows_values_are_left_out() -> None:
    assert (
        text.elided("INSERT INTO log (a, b) VALUES (1, 2) RETURNING log.id") == "INSERT INTO log ... RETURNING log.id"
    )


@pytest.mark.parametrize(
    ("waits_for", "statement", "expected"),
    [
        ("ShareLock on transaction 9", "UPDATE task_instance SET a = 1", "row of task_instance"),
        ("ShareLock on transaction 9", "SELECT a FROM x JOIN y ON z FOR UPDATE OF y SKIP LOCKED", "row of y"),
        ("AccessExclusiveLock on tuple (5,9) of relation dag_run", "SELECT a FROM x", "queue of a row of dag_run"),
        ("ShareLock on transaction 9", "SELECT a FROM x JOIN y ON z FOR UPDATE", "row of x or y"),
        ("ShareLock on transaction 9", "", "a row"),
    ],
)
def test_what_a_side_waits_for_is_named(waits_for: str, statement: str, expected: str) -> None:
    assert cycle.awaited(waits_for, statement) == expected


def test_the_cycle_is_drawn_from_each_side_to_what_the_next_one_holds() -> None:
    header = ("component", "server process", "waits for", "statement")
    rows = (
        ("api-server", "41", "ShareLock on transaction 7", "UPDATE dag_run SET a = 1"),
        ("scheduler-1", "40", "ShareLock on transaction 8", "UPDATE task_instance SET a = 1"),
    )
    drawn = cycle.of((WitnessTable("The cycle", header, rows),))
    assert drawn is not None
    assert [box.lines for box in drawn.boxes] == [
        ("api-server", "process 41"),
        ("row of dag_run",),
        ("scheduler-1", "process 40"),
        ("row of task_instance",),
    ]
    assert [arrow.label for arrow in drawn.arrows] == ["waits for", "held by", "waits for", "held by"]
    assert drawn.description == (
        "Cycle: api-server waits for a row of dag_run that scheduler-1 holds; "
        "scheduler-1 waits for a row of task_instance that api-server holds."
    )
    assert page.render(example(), FACTS).count('<svg class="cycle"') == 1


def test_a_witness_that_is_no_cycle_is_not_drawn() -> None:
    assert cycle.of((WitnessTable("Receipts", ("at", "trigger"), (("1", "2"), ("3", "4"))),)) is None
