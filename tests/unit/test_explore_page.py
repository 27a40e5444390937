"""`stress repro --html`: the page, from what a release's process tells."""

from __future__ import annotations

import html
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from stress.cli import main
from stress.explore.runner import Runner

STEPS: list[dict[str, Any]] = [
    {"actor": "B", "operation": "refresh", "what": "UPDATE task_instance SET a=1 WHERE b < %(b_1)s",
     "locks": ["task_instance raced/run/task_0"], "waited_for": None, "outcome": "1 rows"},
    {"actor": "A", "operation": "state_update", "what": "SELECT a, b FROM task_instance\n FOR UPDATE",
     "locks": [], "waited_for": "B: task_instance raced/run/task_0", "outcome": "40P01: deadlock detected"},
    {"actor": "A", "operation": "state_update", "what": "ROLLBACK", "locks": [], "waited_for": None, "outcome": "done"},
]  # fmt: skip
PLAYS: list[dict[str, Any]] = [
    {"kind": "schedule", "n": number, "schedule": "BA", "ok": number == 2, "missed": "",
     "steps": STEPS if number == 1 else [], "failures": [{"invariant": "deadlock", "detail": "A & B <wait>"}]}
    for number in (1, 2, 3)
]  # fmt: skip


class Page(HTMLParser):
    """The cells of the listing's rows, and everything that a page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.loaded: list[str] = []
        self.in_table = False
        self.text = text
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
            self.in_table = True
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        if tag in ("script", "link", "img", "iframe") or any(name == "src" for name, _ in attrs):
            self.loaded.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.in_table &= tag != "table"

    def handle_data(self, data: str) -> None:
        if self.in_table and self.rows[-1]:
            self.rows[-1][-1] += f" {data.strip()}" if data.strip() else ""


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Page:
    """The page of three plays of the deadlock, in two of which it occurred."""

    def ask(*_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        yield from PLAYS
        yield {"kind": "summary", "tried": 3, "failed": 2, "seconds": 0.1}

    monkeypatch.setattr(Runner, "ask", ask)
    file = tmp_path / "page.html"
    assert main(["repro", "deadlock", "--times", "3", "--html", str(file)]) == 1
    return Page(file.read_text(encoding="utf-8"))


def test_each_step_stands_in_its_actors_column(page: Page) -> None:
    header, first, second, third = page.rows
    assert header == [" step", " A: state_update", " B: refresh"]
    assert first[:2] == [" 1", ""]
    assert "UPDATE task_instance" in first[2]
    assert "locks task_instance raced/run/task_0" in first[2]
    assert "waits for B: task_instance raced/run/task_0" in second[1]
    assert "40P01: deadlock detected" in second[1]
    assert third == [" 3", " ROLLBACK", ""]


def test_the_whole_statement_is_there_where_the_listing_shortens_it(page: Page) -> None:
    assert "SELECT ... FROM task_instance" in page.rows[2][1]
    assert "SELECT a, b FROM task_instance" in page.rows[2][1]
    assert "whole statement" not in page.rows[3][1]


def test_it_says_how_often_and_how_to_repeat_it(page: Page) -> None:
    assert "deadlock on 3.2.1, stock: 2 of 3" in page.text
    assert "stress repro deadlock --airflow 3.2.1 --fixes stock --times 3" in page.text


def test_it_loads_nothing_and_what_the_process_tells_is_escaped(page: Page) -> None:
    assert page.loaded == []
    assert html.escape("A & B <wait>") in page.text
    assert "<wait>" not in page.text


def test_a_file_that_cannot_be_written_is_told_with_the_other_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing" / "page.html"
    assert main(["repro", "deadlock", "--times", "0", "--html", str(missing)]) == 64
    told = capsys.readouterr().err
    assert f"--html {missing} must be a file in a directory that exists" in told
    assert "--times" in told
