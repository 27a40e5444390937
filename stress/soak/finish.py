"""The end of every soak: collect, judge, report, remove. In this order, since a killed CI job leaves little time."""

from __future__ import annotations

import sys
from pathlib import Path

from stress.exits import EXIT_FAILED
from stress.soak.assess import assess
from stress.soak.collect import Harness, collect, is_reported, judge_again, run_directory
from stress.soak.docker import Docker
from stress.soak.junit import junit
from stress.soak.state import Soak, say
from stress.soak.summary import Page, summary

_DOWN_S = 180


def finish(soak: Soak, docker: Docker) -> int:
    """Do what is left once the run has ended. Returns the exit code."""
    page = Page()
    harness = collect(soak, docker)
    run = run_directory(soak)
    if run is not None and not is_reported(run):
        judge_again(soak, docker, run)
    (soak.runs / "latest").unlink(missing_ok=True)  # an upload would hold the run twice
    code, problems = _conclude(soak, page, harness)
    words = ("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "10")
    down = docker.compose(*words, timeout_s=_DOWN_S)
    if down.code != 0:
        soak.reasons.append(f"the containers could not be removed: {down.last_line}")
        code, problems = _conclude(soak, page, harness)
    soak.code = code
    soak.save()
    say("; ".join(problems) if problems else (soak.out / "summary.md").read_text().partition("\n")[0].lstrip("# "))
    say(f"exit code {code}; everything is in {soak.out}")
    return code


def fail(soak: Soak, reason: str) -> int:
    """Report, in the same places, why nothing could be started. Returns the exit code."""
    soak.reasons.append(reason)
    soak.code = EXIT_FAILED
    page = summary(soak, EXIT_FAILED, [reason], None)
    Page().write(page)
    _write(soak, page, junit(EXIT_FAILED, [reason], None))
    soak.save()
    print(f"nightly: {reason}", file=sys.stderr)
    return EXIT_FAILED


def _conclude(soak: Soak, page: Page, harness: Harness) -> tuple[int, list[str]]:
    """Write the summary and the JUnit file. Returns the exit code and the problems."""
    run: Path | None = run_directory(soak)
    code, problems = assess(soak, harness, run)
    text = summary(soak, code, problems, run)
    unwritten = page.write(text)
    if unwritten is not None:
        problems.append(unwritten)
        code = code or EXIT_FAILED
        text = summary(soak, code, problems, run)
    _write(soak, text, junit(code, problems, run))
    return code, problems


def _write(soak: Soak, page: str, cases: str) -> None:
    (soak.out / "summary.md").write_text(page, errors="replace")
    (soak.out / "junit.xml").write_text(cases, errors="replace")
