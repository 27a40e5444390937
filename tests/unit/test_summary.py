"""The summary of `make test`: what it counts, and what it takes for a failure."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stress.layout import ROOT
from tests.summary import Count, forget, keep, summary


def suite(tests: int, failures: int = 0, errors: int = 0, skipped: int = 0) -> str:
    counts = f'tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}"'
    return f"<testsuites><testsuite {counts}/></testsuites>"


@pytest.mark.parametrize(
    ("junit", "succeeded", "expected"),
    [
        (suite(5, skipped=2), True, Count(3, 0, 2)),
        (suite(5, failures=1, errors=1), False, Count(3, 2, 0)),
        (suite(5), False, Count(5, 1, 0)),
        (None, True, Count(0, 1, 0)),
        (None, False, Count(0, 1, 0)),
    ],
    ids=["skipped", "failed", "failed outside of tests", "no file", "died"],
)
def test_pytest_is_counted_by_its_junit_file(
    tmp_path: Path, junit: str | None, succeeded: bool, expected: Count
) -> None:
    file = tmp_path / "junit.xml"
    if junit is not None:
        file.write_text(junit)
    assert Count.of_junit(file, succeeded=succeeded) == expected


def test_the_last_line_is_the_sum_over_all_stages(tmp_path: Path) -> None:
    keep("unit", Count(10, 0, 1, 2.0), tmp_path)
    keep("lint", Count(3, 0, 0, 1.0), tmp_path)
    text, code = summary(["lint", "unit"], tmp_path)
    assert (text.splitlines()[-1], code) == ("13 passed, 0 failed, 1 skipped", 0)


def test_a_stage_without_a_count_is_a_failure(tmp_path: Path) -> None:
    keep("unit", Count(10), tmp_path)
    keep("lint", Count(3), tmp_path)
    forget("lint", tmp_path)
    text, code = summary(["lint", "unit"], tmp_path)
    assert (text.splitlines()[-1], code) == ("10 passed, 1 failed, 0 skipped", 1)


def test_nothing_passed_is_a_failure(tmp_path: Path) -> None:
    keep("compose", Count(skipped=1), tmp_path)
    assert summary(["compose"], tmp_path)[1] == 1


def test_make_and_nox_have_the_same_stages() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "nox", "--list"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    sessions = re.findall(r"^\* ([a-z]+)", listed.stdout, re.MULTILINE)
    stages = re.search(r"^STAGES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert stages is not None
    assert stages[1].split() == sessions
