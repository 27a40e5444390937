"""summary.md: the verdict, then the table, within the size that CI systems show."""

from __future__ import annotations

import re
from dataclasses import replace

from stress.report import summary
from tests.unit.reported import FACTS, example, hostile


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
