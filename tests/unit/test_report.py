"""The reports of an example run: what each format promises, and what hostile or very long runs do to it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from stress.judge.verdicts import judge_all, overall
from stress.report import FILE_NAMES, junit, page, results_json, summary, terminal, text, timeline, write_all
from stress.results import (
    ArmCode,
    ArmSummary,
    BlockCheck,
    BlockSummary,
    Incident,
    Instrument,
    RaceState,
    Results,
    RunFacts,
    RunState,
    Throughput,
    Verdict,
    Witness,
    WitnessTable,
)

RACES = ("deadlock", "duplicate_callback", "out_of_order_frame")
ORDER = ("stock", "fixed", "fixed", "stock", "stock", "fixed", "fixed", "stock", "stock")
LONG_ORDER = (*ORDER, "fixed", "fixed", "stock", "stock", "fixed", "stock")
"""As far as the second look: at the first one, a race that remains leaves the others undecided (joint test)."""
LOAD_S = 62.0

FACTS = RunFacts(
    run_id="20260504-102033-1f3a",
    started_at=1_777_890_033.0,
    ended_at=1_777_890_033.0 + 523,
    command="stress run --arm stock --arm fixed --airflow 3.2.1 --budget 10m --seed 4711",
    runtime="local",
    host={"cpus": "2", "memory": "24.0 GB", "kernel": "Linux 6.1", "python": "3.11.9", "postgresql": "16.4"},
    settings={"budget": "10m", "scenarios": "state_updates, deadlines, cancellations", "workers": "hollow"},
)

API_STATEMENT = (
    "SELECT task_instance.id, task_instance.state, task_instance.try_number, dag_run_1.id AS id_1, dag_run_1.state AS "
    "state_1 FROM task_instance JOIN dag_run AS dag_run_1 ON dag_run_1.dag_id = task_instance.dag_id "
    "AND dag_run_1.run_id = task_instance.run_id WHERE task_instance.id = $1 FOR UPDATE"
)
SCHEDULER_STATEMENT = (
    "UPDATE task_instance SET dag_version_id=$1 WHERE task_instance.dag_id = $2 AND task_instance.run_id = $3 AND "
    "(task_instance.state IS NULL OR task_instance.state NOT IN ($4, $5, $6, $7, $8))"
)

WITNESSES: Mapping[str, Mapping[str, Witness]] = {
    "deadlock": {
        "api-server/scheduler": Witness(
            "The API server waited for a dag run that a scheduler held, and the scheduler for its task instance.",
            (
                WitnessTable(
                    "The cycle, as PostgreSQL logged it",
                    ("process", "component", "waits for", "held by", "statement"),
                    (
                        ("4121", "api-server", "ShareLock on transaction 90412", "4087", API_STATEMENT),
                        ("4087", "scheduler-1", "ShareLock on transaction 90409", "4121", SCHEDULER_STATEMENT),
                    ),
                ),
                WitnessTable(
                    "What was locked",
                    ("relation", "tuple", "victim"),
                    (("dag_run", "(12,7)", "api-server, answered 500"),),
                ),
            ),
        ),
    },
    "duplicate_callback": {
        "two schedulers": Witness(
            "Deadline 0196-7c41 was handled by both schedulers: two callback triggers, two receipts.",
            (
                WitnessTable(
                    "Receipts of the callback",
                    ("at", "trigger", "triggerer", "process"),
                    (("38.114 s", "211", "triggerer-0", "3901"), ("38.131 s", "212", "triggerer-1", "3907")),
                ),
            ),
        ),
        "two triggerers": Witness(
            "Trigger 214 ran in both triggerers.",
            (
                WitnessTable(
                    "Receipts of the callback",
                    ("at", "trigger", "triggerer", "process"),
                    (("40.020 s", "214", "triggerer-0", "3901"), ("40.022 s", "214", "triggerer-1", "3907")),
                ),
            ),
        ),
    },
    "out_of_order_frame": {
        "cancellation": Witness(
            "triggerer-0 read frame 555 where it expected 556, 41 ms after trigger 88 was cancelled; its runner died.",
            (
                WitnessTable(
                    "Around the cancellation",
                    ("at", "process", "event"),
                    (
                        ("11.902 s", "3901", "trigger 88 cancelled in asend(), request 555 already written"),
                        (
                            "11.943 s",
                            "3901",
                            "RuntimeError: Response read out of order! Got frame.id=555, expect_id=556",
                        ),
                        ("11.951 s", "3901", "Trigger runner process has died! Exiting."),
                    ),
                ),
            ),
        ),
    },
}

COUNTS: Mapping[str, Mapping[str, Sequence[int]]] = {
    "deadlock": {"stock": (11, 9, 13, 8, 10), "fixed": (0, 0, 0, 0)},
    "duplicate_callback": {"stock": (31, 28, 33, 30, 29), "fixed": (0, 0, 0, 0)},
    "out_of_order_frame": {"stock": (4, 3, 5, 2, 4), "fixed": (0, 0, 0, 0)},
}
OPPORTUNITIES = {"deadlock": 1741, "duplicate_callback": 48, "out_of_order_frame": 212}


def example(
    counts: Mapping[str, Mapping[str, Sequence[int]]] = COUNTS,
    *,
    blind: tuple[str, ...] = (),
    state: RunState = RunState.DONE,
    witnesses: Mapping[str, Mapping[str, Witness]] = WITNESSES,
    order: Sequence[str] = ORDER,
    opportunities: Mapping[str, int] = OPPORTUNITIES,
) -> Results:
    """A run of stock against fixed, judged by the real verdict; `counts` are incidents per race, arm and block."""
    names = list(dict.fromkeys(order))
    checks: list[BlockCheck] = []
    turns = {name: [block for block, arm in enumerate(order) if arm == name] for name in names}
    for race, per_arm in counts.items():
        causes = list(witnesses[race])
        for name in names:
            for block, number in zip(turns[name], per_arm[name], strict=True):
                incidents = tuple(
                    Incident(
                        race,
                        block,
                        name,
                        # Spread over the block, unevenly but always alike.
                        4.0 + (LOAD_S - 6) * ((n + 1) * 0.618034 * (block + 1) % 1),
                        causes[n % len(causes)],
                        f"signature of {causes[n % len(causes)]}",
                        witnesses[race][causes[n % len(causes)]],
                    )
                    for n in range(number)
                )
                seen = opportunities[race] + 3 * (block % 4)
                checks.append(
                    BlockCheck(race, block, name, incidents, seen, LOAD_S, blind if race == "deadlock" else ())
                )
    verdicts = judge_all(checks, list(counts), names, block_cost_s=80.0, units={"deadlock": "state updates"})
    return Results(
        run_id=FACTS.run_id,
        seed=4711,
        state=state,
        verdict=overall(verdicts, interrupted=state is RunState.INTERRUPTED),
        arms=[
            ArmSummary(
                name, "3.2.1", () if name == "stock" else ("triggerer_comms", "deadline_claim", "row_lock_scope")
            )
            for name in names
        ],
        races=verdicts,
        throughput={name: Throughput(9.31 if name == "stock" else 9.64, 1740, 186.0) for name in names},
        blind=tuple(f"deadlock on stock, block 0: {sentence}" for sentence in blind),
        blocks=tuple(
            BlockSummary(
                n, arm, FACTS.started_at + 80 * n, LOAD_S, True, 580, 4 if arm == "stock" else 0, 1_930_000_000
            )
            for n, arm in enumerate(order)
        ),
        incidents=tuple(incident for check in checks for incident in check.incidents),
        notes=("pg_stat_database counted 51 deadlocks, as many as the log.",),
    )


def with_counts(**changed: Mapping[str, Sequence[int]]) -> Results:
    """The example with other counts for some races."""
    return example({**COUNTS, **changed})


REMAINS = example(
    {
        "deadlock": {"stock": (11, 9, 13, 8, 10, 12, 9, 11), "fixed": (12, 9, 10, 11, 8, 10, 13)},
        "duplicate_callback": {"stock": (31, 28, 33, 30, 29, 32, 30, 31), "fixed": (0,) * 7},
        "out_of_order_frame": {"stock": (4, 3, 5, 2, 4, 3, 4, 2), "fixed": (0,) * 7},
    },
    order=LONG_ORDER,
)
UNKNOWN = with_counts(deadlock={"stock": (1, 0, 1, 0, 1), "fixed": (0, 0, 0, 0)})
HOSTILE = '<script>alert("1")</script> | `x` \x1b[31m \x00 \udc80 & </code> ]]>'


def hostile() -> Results:
    """A run whose every text is trouble."""
    witness = Witness(HOSTILE, (WitnessTable(HOSTILE, (HOSTILE,), ((HOSTILE,), (f"SELECT {HOSTILE} FOR UPDATE",))),))
    made = example({"deadlock": COUNTS["deadlock"]}, witnesses={"deadlock": {HOSTILE: witness}}, blind=(HOSTILE,))
    return replace(made, notes=(HOSTILE,), run_id=HOSTILE)


def long_run() -> Results:
    """Eight hours of a race that occurs all the time, with large witnesses of many causes."""
    order = ("stock", "fixed", "fixed", "stock") * 120
    table = WitnessTable("all that was logged", ("statement",), ((f"SELECT {'x, ' * 3_000} FROM y",),) * 100)
    causes = {f"cause {n}": Witness("Much was logged.", (table,)) for n in range(40)}
    counts = {race: {"stock": [60] * 240, "fixed": [20] * 240} for race in RACES}
    return example(counts, order=order, witnesses=dict.fromkeys(RACES, causes))


# --- results.json -----------------------------------------------------------------------------------------------------


def test_results_json_has_the_contracts_keys_in_their_order() -> None:
    document = json.loads(results_json.render(example()))
    assert list(document) == [
        "schema", "run_id", "seed", "state", "verdict", "arms", "races", "blocks", "harm", "throughput", "blind",
        "errors", "notes", "instrument", "command",
    ]  # fmt: skip
    assert document["schema"] == 2
    assert list(document["races"]) == list(RACES)
    race = document["races"]["deadlock"]
    assert list(race)[:7] == [
        "verdict", "reason", "p_value", "rate_ratio_upper95", "control", "under_test", "arms",
    ]  # fmt: skip
    assert list(race["arms"]["stock"]) == [
        "incidents", "opportunities", "exposure_s", "first_incident_s", "causes",
    ]  # fmt: skip
    assert list(document["arms"]["fixed"]) == ["airflow", "fixes", "config", "code"]
    assert list(document["blocks"][0])[:4] == ["block", "arm", "counts", "blind"]
    assert document["throughput"]["stock"]["task_instances_per_s"] == 9.31


def test_results_json_holds_the_numbers_and_null_for_none() -> None:
    document = json.loads(results_json.render(example()))
    assert document["verdict"] == "pass"
    fixed = document["races"]["deadlock"]["arms"]["fixed"]
    assert fixed["incidents"] == 0
    assert fixed["first_incident_s"] is None
    assert fixed["causes"] == {}
    assert document["races"]["duplicate_callback"]["arms"]["stock"]["causes"] == {
        "two schedulers": 77,
        "two triggerers": 74,
    }


def test_results_json_names_the_code_of_an_arm_and_null_for_a_release() -> None:
    results = example()
    code = ArmCode("checkout", "airflow-pr", "3.4.0.dev0", "0123456789ab-dirty")
    document = json.loads(
        results_json.render(replace(results, arms=(results.arms[0], replace(results.arms[1], code=code))))
    )
    assert document["arms"]["stock"]["code"] is None
    assert document["arms"]["fixed"]["code"] == {
        "kind": "checkout", "name": "airflow-pr", "version": "3.4.0.dev0", "revision": "0123456789ab-dirty",
    }  # fmt: skip


def test_results_json_names_the_instrument_and_the_command(tmp_path: Path) -> None:
    instrument = Instrument("9.8.7", "fedcba987654", {"deadline_claim": "aaaabbbbcccc"})
    write_all(example(), replace(FACTS, instrument=instrument), tmp_path)
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["instrument"] == {
        "version": "9.8.7", "commit": "fedcba987654", "fixes": {"deadline_claim": "aaaabbbbcccc"},
    }  # fmt: skip
    assert document["command"] == FACTS.command
    without = json.loads(results_json.render(example()))
    assert (without["instrument"], without["command"]) == (None, None)


def test_results_json_gives_an_arm_that_never_ran_an_empty_throughput() -> None:
    document = json.loads(results_json.render(replace(example(), throughput={})))
    assert document["throughput"] == {"stock": {}, "fixed": {}}


def test_results_json_refuses_what_json_has_no_word_for() -> None:
    broken = replace(example(), throughput={"stock": Throughput(math.nan, 0, 0.0)})
    with pytest.raises(ValueError, match="not JSON compliant"):
        results_json.render(broken)


# --- junit.xml --------------------------------------------------------------------------------------------------------


def parsed(xml: str) -> ET.Element:
    """The root of a document that has the structure of the schema which Jenkins and GitLab share."""
    root = ET.fromstring(xml)
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite"
        assert {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"} <= set(suite.attrib)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        assert [child.tag for child in suite] == ["properties"] + ["testcase"] * (len(suite) - 1)
        assert all(set(child.attrib) == {"name", "value"} for child in suite[0])
        for case in suite.iter("testcase"):
            assert set(case.attrib) == {"classname", "name", "time"}
            float(case.attrib["time"])
            assert {child.tag for child in case} <= {"failure", "error", "system-out"}
            assert all(set(child.attrib) == {"message", "type"} for child in case if child.tag != "system-out")
        for tag, attribute in (("testcase", "tests"), ("failure", "failures"), ("error", "errors")):
            assert len(list(suite.iter(tag))) == int(suite.attrib[attribute])
    return root


@pytest.mark.parametrize(
    ("results", "failures", "errors"),
    [(example(), 0, 0), (REMAINS, 1, 0), (UNKNOWN, 0, 1), (example(state=RunState.INTERRUPTED), 0, 1)],
    ids=["removed", "remains", "unknown", "interrupted"],
)
def test_junit_is_green_only_for_a_pass(results: Results, failures: int, errors: int) -> None:
    suite = parsed(junit.render(results, FACTS))[0]
    assert (int(suite.attrib["failures"]), int(suite.attrib["errors"])) == (failures, errors)


def test_junit_has_a_case_a_race_with_its_reason() -> None:
    suite = parsed(junit.render(REMAINS, FACTS))[0]
    assert [case.attrib["name"] for case in suite.iter("testcase")] == list(RACES)
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("remains: 73 of ")


def test_junit_survives_control_characters() -> None:
    parsed(junit.render(hostile(), FACTS))


# --- summary.md -------------------------------------------------------------------------------------------------------


def test_summary_opens_with_the_verdict_and_then_the_table() -> None:
    lines = summary.render(example(), FACTS).splitlines()
    assert lines[0] == "# Pass: All 3 races were seen on stock, and are gone on fixed."
    assert lines[2].startswith("| race | verdict | stock: incidents |")
    assert "| deadlock | removed | 51 of " in lines[4]


def test_summary_says_right_after_the_table_what_was_not_seen() -> None:
    parts = summary.render(example(blind=("the log vanished",)), FACTS).split("\n\n")
    assert parts[1].startswith("| race |")
    assert "Not everything was seen" in parts[2]


def test_summary_keeps_cells_whole_and_html_harmless() -> None:
    markdown = summary.render(hostile(), FACTS)
    tables = [part.splitlines() for part in markdown.split("\n\n") if part.startswith("| ")]
    assert len(tables) == 2
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert "<script" not in markdown.replace("\\<", "")


def test_summary_stays_below_sixty_kilobytes() -> None:
    wordy = replace(example(), blind=tuple("x" * 9_000 for _ in range(30)))
    markdown = summary.render(wordy, FACTS)
    assert len(markdown.encode()) <= 60_000
    assert markdown.startswith("# Pass")
    assert "| out of order frame | removed |" in markdown
    left = re.search(
        r"\n\*Cut here: ([\d,]+) more lines \(([\d,]+) bytes\); `report.html` has everything.\*\n$", markdown
    )
    assert left is not None
    assert int(left[2].replace(",", "")) > 100_000


# --- terminal ---------------------------------------------------------------------------------------------------------


def test_terminal_shows_every_race_in_a_line_and_the_verdict_last() -> None:
    lines = terminal.render(example()).splitlines()
    assert lines[0].split() == ["race", "verdict", "stock", "fixed", "p", "(joint)", "rate", "ratio"]
    assert re.fullmatch(r"deadlock +removed +51 of 8,7\d\d +0 of 6,9\d\d +0\.0079 +< 0\.07\d", lines[1])
    assert lines[-1] == "PASS: All 3 races were seen on stock, and are gone on fixed."


def test_terminal_columns_line_up() -> None:
    table = terminal.render(REMAINS).split("\n\n")[0].splitlines()
    ends = {line.index("of 13,") for line in table[1:] if line.startswith("deadlock")}
    assert len(ends) == 1
    assert len({len(line) for line in table if not line.startswith("  ")}) == 1


def test_terminal_has_a_row_for_each_of_several_causes() -> None:
    rows = [line.split() for line in terminal.render(example()).splitlines() if line.startswith("  ")]
    assert [row[:3] for row in rows] == [["two", "schedulers", "77"], ["two", "triggerers", "74"]]


def test_terminal_gives_the_reason_of_what_is_undecided() -> None:
    assert "deadlock: unknown: undecided, too few blocks of the control show it: 0 of" in terminal.render(UNKNOWN)


def test_terminal_colours_only_when_asked() -> None:
    assert "\x1b" not in terminal.render(REMAINS)
    assert "\x1b[31mremains" in terminal.render(REMAINS, colour=True)
    assert "\x1b[31mFAIL" in terminal.render(REMAINS, colour=True)


def test_terminal_lets_no_control_character_through() -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", terminal.render(hostile()))


# --- report.html ------------------------------------------------------------------------------------------------------

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Outline(HTMLParser):
    """Checks that tags nest, and keeps tags, ids, links and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.append(name)
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src"}:
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(html: str) -> Outline:
    """The page's outline; fails if tags don't nest or ids repeat."""
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    return parser


def test_page_needs_nothing_but_itself() -> None:
    html = page.render(example(), FACTS)
    found = outline(html)
    assert "script" not in found.tags
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert "@import" not in html
    assert "url(" not in html


def test_page_is_in_the_order_of_interest() -> None:
    html = page.render(example(blind=("the log vanished",)), FACTS)
    expected = ["<h1>", "Not everything was seen", 'id="races"', 'id="deadlock"', "Incidents over the run", "Witnesses",
                'id="duplicate_callback"', 'id="arms"', 'id="again"', FACTS.command]  # fmt: skip
    places = [html.index(landmark) for landmark in expected]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("results", "word", "headline"),
    [
        (example(), "pass", "All 3 races were seen on stock, and are gone on fixed."),
        (REMAINS, "fail", "Deadlock remains on fixed."),
        (UNKNOWN, "unknown", "Undecided: deadlock. Removed: duplicate callback and out of order frame."),
    ],
)
def test_page_says_the_verdict_in_words(results: Results, word: str, headline: str) -> None:
    html = page.render(results, FACTS)
    assert f'<div class="verdict {word}">' in html
    assert headline in html[: html.index("</h1>")]


def test_page_shows_counts_with_denominators_and_rates() -> None:
    html = page.render(example(), FACTS)
    count = example().races["deadlock"].arms["stock"]
    assert f"51 of {count.opportunities:,}" in html
    assert f"{text.per_thousand(count)} per 1,000 state updates" in html


def test_page_shows_a_witness_of_each_cause_with_its_locks_marked() -> None:
    html = page.render(example(), FACTS)
    assert html.count('<article class="witness">') == 4
    assert "<mark>FOR UPDATE</mark>" in html
    assert "Got frame.id=555, expect_id=556" in html


def test_page_escapes_everything() -> None:
    html = page.render(hostile(), FACTS)
    found = outline(html)
    assert "script" not in found.tags
    assert not [name for name in found.attributes if name.startswith("on")]
    assert "\x1b" not in html
    html.encode()


def test_page_stays_below_two_megabytes_and_says_what_it_leaves_out() -> None:
    html = page.render(long_run(), FACTS)
    outline(html)
    assert len(html.encode()) < 2_000_000
    assert "more causes not shown here" in html
    assert "180 more blocks in" in html
    assert "60 more rows" in html
    assert "more characters)" in html


@pytest.mark.parametrize(
    "results",
    [
        replace(example(), races={}, blocks=(), incidents=(), throughput={}, verdict=Verdict.UNKNOWN),
        replace(example(), arms=(), races={}, blocks=(), incidents=(), throughput={}, state=RunState.FAILED),
        replace(example(), incidents=(), blocks=()),
    ],
    ids=["nothing judged", "nothing at all", "no blocks"],
)
def test_every_format_survives_a_run_that_came_to_nothing(results: Results, tmp_path: Path) -> None:
    write_all(results, replace(FACTS, ended_at=None), tmp_path)
    assert terminal.render(results)


def test_page_has_room_for_more_than_two_arms() -> None:
    order = ("stock", "proposed", "fixed") * 3
    counts = {race: {"stock": (9, 9, 9), "proposed": (8, 9, 7), "fixed": (0, 0, 0)} for race in RACES}
    html = page.render(example(counts, order=order), FACTS)
    outline(html)
    assert '<span class="arm a1">proposed</span>' in html
    assert "the arms between are shown with their counts" in html


# --- timeline ---------------------------------------------------------------------------------------------------------


def drawn(results: Results, race: str = "deadlock") -> timeline.Timeline:
    """The timeline of one race."""
    found = timeline.draw(results.blocks, [i for i in results.incidents if i.race == race], results.arms)
    assert found is not None
    return found


def test_timeline_has_a_band_a_block_and_a_tick_an_incident() -> None:
    shown = drawn(example())
    assert [band.arm for band in shown.bands] == [0, 1, 1, 0, 0, 1, 1, 0, 0]
    assert shown.bands[0].x == shown.left
    assert shown.bands[-1].x + shown.bands[-1].width == pytest.approx(shown.right, abs=0.2)
    assert len(shown.ticks) + sum(int(n) for t in shown.ticks for n in re.findall(r"and (\d+) more", t.title)) == 51


def test_timeline_puts_each_tick_in_a_block_of_its_arm() -> None:
    shown = drawn(REMAINS)
    for tick in shown.ticks:
        assert any(b.arm == tick.arm and b.x - 1 <= tick.x <= b.x + b.width + 1 for b in shown.bands)


def test_timeline_stretches_a_block_for_what_came_to_light_while_it_settled() -> None:
    results = example()
    late = replace(results.incidents[0], at_s=LOAD_S + 20)
    shown = timeline.draw(results.blocks, [late], results.arms)
    assert shown is not None
    assert shown.bands[0].width == pytest.approx(shown.bands[1].width * (LOAD_S + 20) / LOAD_S, abs=0.2)
    assert shown.ticks[0].x <= shown.bands[1].x + 1


def test_timeline_labels_do_not_cover_each_other() -> None:
    heights = sorted(curve.label_y for curve in drawn(REMAINS).curves)
    assert heights[1] - heights[0] >= 15


def test_timeline_is_bounded_however_long_the_run() -> None:
    shown = drawn(long_run())
    assert len(shown.ticks) < 2 * timeline.WIDTH
    assert max(len(curve.path) for curve in shown.curves) < 20 * timeline.WIDTH
    assert len(shown.x_marks) <= 11
    assert len(shown.y_marks) <= 6


def test_timeline_without_a_block_is_none() -> None:
    assert timeline.draw((), (), example().arms) is None


# --- text and files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (text.seconds(6.44), "6.4 s"),
        (text.seconds(182), "3 min 02 s"),
        (text.seconds(3599.9), "1 h 00 min"),
        (text.seconds(59.97), "1 min 00 s"),
        (text.seconds(None), "–"),
        (text.significant(0.0274), "0.0274"),
        (text.significant(2.7344), "2.73"),
        (text.significant(1234.5), "1,234"),
        (text.significant(0.0000123), "0.000012300"),
        (text.bound(0.2304), "< 0.23"),
        (text.bound(14.2), "< 14"),
        (text.megabytes(1_930_000_000), "1.93 GB"),
        (text.change(9.64, 9.31), "+3.5 %"),
        (text.change(9.0, 10.0), "−10.0 %"),
        (text.moment(0), "1970-01-01 00:00:00 UTC"),
        (text.listed(["a", "b", "c"]), "a, b and c"),
        (text.listed([]), ""),
        (text.without_state("removed: 0 of 5"), "0 of 5"),
        (text.printable("a\x1b\x00b\tc"), "a\ufffd\ufffdb\tc"),
    ],
)
def test_how_things_are_written(found: str, expected: str) -> None:
    assert found == expected


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (
            example(state=RunState.INTERRUPTED),
            "The run was interrupted. Every race was decided, but the run was cut short, so the result is unknown.",
        ),
        (
            with_counts(deadlock={"stock": (40, 40, 40, 40, 40), "fixed": (3, 3, 3, 3)}),
            "Deadlock is reduced, not removed.",
        ),
        (example({"deadlock": COUNTS["deadlock"]}), "The race was seen on stock, and is gone on fixed."),
    ],
)
def test_headlines(results: Results, expected: str) -> None:
    assert text.headline(results).startswith(expected)


def test_write_all_writes_every_file_and_nothing_else(tmp_path: Path) -> None:
    written = write_all(example(), FACTS, tmp_path)
    assert tuple(path.name for path in written) == FILE_NAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILE_NAMES)
    assert all(path.stat().st_size for path in written)


def test_write_all_leaves_the_old_file_whole_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(example(), FACTS, tmp_path)
    before = (tmp_path / "report.html").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_all(REMAINS, FACTS, tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILE_NAMES)


def test_the_example_is_what_it_says() -> None:
    assert {verdict.verdict for verdict in example().races.values()} == {RaceState.REMOVED}
    assert REMAINS.verdict is Verdict.FAIL
