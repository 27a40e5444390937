"""Writes a run's reports. Each file appears whole or not at all: no reader (a CI job, a browser) sees a part of it.

Everything is rendered before anything is written, and `results.json` comes last, so that its presence implies the
others.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from stress.report import junit, page, results_json, summary
from stress.results import Results, RunFacts

FILE_NAMES = ("report.html", "junit.xml", "summary.md", "results.json")


def write_all(results: Results, facts: RunFacts, directory: Path) -> tuple[Path, ...]:
    """Write all four reports into `directory`, which must exist; returns their paths."""
    contents = (
        page.render(results, facts),
        junit.render(results, facts),
        summary.render(results, facts),
        results_json.render(results, facts),
    )
    return tuple(_write(directory / name, content) for name, content in zip(FILE_NAMES, contents, strict=True))


def _write(path: Path, content: str) -> Path:
    """Write by way of a temporary file beside it, since a rename is only atomic within one file system."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # A log may hold bytes that are not UTF-8; their decoded form cannot be encoded again.
            file.write(content.encode("utf-8", "replace"))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp's 0600 would hide the report from a CI job's other users
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
