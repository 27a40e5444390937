"""How many tests of each stage passed: written by the sessions of `noxfile.py`, summed up by `python -m tests.summary`.

The last line is the sum over all stages, `N passed, N failed, N skipped`; the exit code is 0 if nothing failed and
something passed. A stage that left no count did not come to its end, which counts as one failure.
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent.parent / ".nox" / "counts"


@dataclass
class Count:
    """Tests of a stage."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def add(self, other: Count) -> None:
        """Add other tests to this stage's."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.seconds += other.seconds

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    @classmethod
    def of_command(cls, *, succeeded: bool) -> Count:
        """A command that counts as one test."""
        return cls(passed=int(succeeded), failed=int(not succeeded))

    @classmethod
    def of_junit(cls, junit: Path, *, succeeded: bool) -> Count:
        """pytest's own count. A pytest that failed without a failure in its file, or without a file, is one."""
        count = cls()
        if junit.exists():
            for suite in ET.parse(junit).getroot().iter("testsuite"):  # noqa: S314 - written by our own pytest
                bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
                skipped = int(suite.get("skipped", 0))
                count.add(cls(int(suite.get("tests", 0)) - bad - skipped, bad, skipped))
        if count.failed == 0 and (not succeeded or not junit.exists()):
            count.failed = 1
        return count


def forget(stage: str, directory: Path = DIRECTORY) -> None:
    """The stage begins: what an earlier one came to is over."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{stage}.json").unlink(missing_ok=True)


def keep(stage: str, count: Count, directory: Path = DIRECTORY) -> None:
    """The stage has ended."""
    (directory / f"{stage}.json").write_text(json.dumps(asdict(count)))


def summary(stages: Sequence[str], directory: Path = DIRECTORY) -> tuple[str, int]:
    """A line a stage and the sum; the exit code."""
    total, lines = Count(), []
    for stage in stages:
        file = directory / f"{stage}.json"
        count = Count(**json.loads(file.read_text())) if file.exists() else Count(failed=1)
        total.add(count)
        end = f"in {count.seconds:.0f} s" if file.exists() else "(it did not come to its end)"
        lines.append(f"{stage:10} {count} {end}")
    return "\n".join([*lines, str(total)]), int(total.failed > 0 or total.passed == 0)


if __name__ == "__main__":
    text, code = summary(sys.argv[1:])
    print(f"\n{text}")
    raise SystemExit(code)
