"""The table of costs in every report, and what it leaves to the table of harm."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from stress.report import costs, page, results_json, summary, terminal
from stress.results import CostChange, HarmMeasure, Results
from tests.unit.reported import FACTS, example

SLOWER = CostChange(
    "cpu", "s per 1,000 tasks", {"stock": 49.2, "fixed": 64.6}, {"stock": 5, "fixed": 4}, 0.312, 0.094, 0.571, "worse",
    margin=0.25,
)  # fmt: skip
ALIKE = CostChange(
    "delay", "ms", {"stock": 400.0, "fixed": 380.0}, {"stock": 5, "fixed": 4}, -0.05, -0.2, 0.128, "~",
)  # fmt: skip
UNSEEN = CostChange(
    "loop", "ms", {"stock": None, "fixed": None}, {"stock": 0, "fixed": 0}, None, None, None, "not measured"
)
HARM = (
    HarmMeasure("wrong_replies", "a block", {"stock": 0.0, "fixed": 0.0}, "~", None, "0 -> 0 a block"),
    HarmMeasure("cpu", "s per 1,000 tasks", {"stock": 49.0, "fixed": 64.0}, "worse", 0.2, "beyond the margin of 25%"),
)


@pytest.fixture
def results() -> Results:
    """A run with three costs, one of which is a measure of harm, too."""
    return replace(example(), costs=(SLOWER, ALIKE, UNSEEN), harm=HARM)


def test_a_row_has_medians_change_interval_and_the_verdict_as_harm(results: Results) -> None:
    assert costs.rows(results) == [
        ["cpu, s per 1,000 tasks", "+31.2 %", "49.2", "64.6", "+9.4 to +57.1 %", "worse, 25 %"],
        ["delay, ms", "~", "400", "380", "−20.0 to +12.8 %", "–"],
        ["loop, ms", "not measured", "–", "–", "–", "–"],
    ]


@pytest.mark.parametrize(
    ("high", "shown"), [(0.999, "+99.9"), (30.9, "+3,090"), (100.0, "more than +10,000"), (1e30, "more than +10,000")]
)
def test_a_wide_interval_is_written_short(high: float, shown: str) -> None:
    assert costs.interval(replace(ALIKE, high=high)) == f"−20.0 to {shown} %"


def test_the_terminal_shows_each_measure_once(results: Results) -> None:
    shown = terminal.render(results)
    assert re.search(
        r"^cpu, s per 1,000 tasks +\+31\.2 % +49\.2 +64\.6 +\+9\.4 to \+57\.1 % +worse, 25 %$", shown, re.M
    )
    assert len(re.findall(r"^cpu\b", shown, re.M)) == 1
    assert len(re.findall(r"^wrong_replies\b", shown, re.M)) == 1


def test_the_page_and_the_summary_show_each_measure_once(results: Results) -> None:
    html, markdown = page.render(results, FACTS), summary.render(results, FACTS)
    assert html.count("cpu, s per 1,000 tasks") == 1
    assert '<th scope="row">cpu</th>' not in html
    assert '<span class="state worse">+31.2 %</span>' in html
    assert "+9.4 to +57.1 %" in html
    assert r"| delay, ms | \~ | 400 | 380 | −20.0 to +12.8 % | – |" in markdown
    assert "| cpu |" not in markdown


def test_results_json_has_all_of_harm_and_all_costs(results: Results) -> None:
    document = json.loads(results_json.render(results))
    assert [measure["measure"] for measure in document["harm"]] == ["wrong_replies", "cpu"]
    assert document["costs"][1] == {
        "measure": "delay",
        "stock": 400.0,
        "fixed": 380.0,
        "change": -0.05,
        "low": -0.2,
        "high": 0.128,
        "level": 0.99,
        "verdict": "~",
        "unit": "ms",
        "margin": None,
        "blocks": {"stock": 5, "fixed": 4},
        "reason": "",
    }
    assert document["costs"][2]["stock"] is None


def test_a_run_without_costs_has_no_such_table() -> None:
    assert "99 % interval" not in terminal.render(example())
    assert 'id="cost"' not in page.render(example(), FACTS)
    assert "## Cost" not in summary.render(example(), FACTS)
