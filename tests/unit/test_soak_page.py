"""The page of a soak: within GitHub's limit, after what was there, and in a file of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.soaks import Machine, blocks, ended

LIMIT = 1024 * 1024
"""GitHub's, in bytes."""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_page_stays_within_github_s_limit_and_the_verdict_comes_first(machine: Machine) -> None:
    directory = ended(machine.run, blocks())
    own = (directory / "summary.md").read_text()
    (directory / "summary.md").write_text(own + "- one more witness, and it is not the last, é\n" * 50_000)
    soak = machine.soak("passes")
    assert len(soak.summary.encode()) > LIMIT
    assert len(soak.page.encode()) <= LIMIT
    assert soak.page.startswith(own.partition("\n\n")[0])
    assert "| deadlock | removed |" in soak.page
    kept, _, note = soak.page.partition("\n*Cut here: ")
    assert soak.summary.startswith(kept)
    assert kept.endswith("é\n")
    left = re.match(r"([\d,]+) more lines \(([\d,]+) bytes\)", note)
    assert left is not None
    assert int(left[2].replace(",", "")) == len(soak.summary.encode()) - len(kept.encode())


def test_what_the_page_held_before_is_kept(machine: Machine) -> None:
    ended(machine.run, blocks())
    machine.page.write_text("Before.\n\n")
    assert machine.soak("passes").page.startswith("Before.\n\n# Pass: ")


def test_without_github_there_is_the_summary_only(machine: Machine) -> None:
    ended(machine.run, blocks())
    del machine.environment["GITHUB_STEP_SUMMARY"]
    soak = machine.soak("passes")
    assert (soak.code, soak.page) == (0, "")
    assert soak.headline.startswith("# Pass: ")


def test_a_page_that_can_not_be_written_is_not_green(machine: Machine) -> None:
    ended(machine.run, blocks())
    machine.environment["GITHUB_STEP_SUMMARY"] = str(machine.directory / "nowhere" / "page.md")
    soak = machine.soak("passes")
    assert (soak.code, soak.is_removed) == (3, True)
    assert soak.headline.startswith("# Failed: the job's page can't be written")
