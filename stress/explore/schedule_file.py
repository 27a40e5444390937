"""A schedule as a file: what was played, of which code, and the fingerprint of each function that it has run.

A schedule's string says only which actor goes on at each point. It means the same schedule for the same code alone, so
the file names the code: the release (or what was laid over it), the fixes, and a digest of the source of each function
of Airflow and of the fixes that ran. `stress explore --replay FILE` compares them and refuses other sources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stress import instrument
from stress.cache import write_atomically

SCHEMA = 1
_WORDS = ("pair", "airflow", "code", "fixes", "schedule")


class BadScheduleFile(ValueError):  # noqa: N818 - it says what is wrong
    """The file cannot be read, or is no schedule. The message says why."""


@dataclass(frozen=True)
class ScheduleFile:
    """One schedule of a pair."""

    pair: str
    airflow: str
    """As `--airflow` takes it."""

    code: str
    """What ran: the release, and what was laid over it."""

    fixes: str
    """As `--fixes` takes them."""

    schedule: str
    failures: Sequence[Mapping[str, str]]
    sources: Mapping[str, str]
    """Functions that the schedule has run, `module:name` to the digest of their source."""

    steps: Sequence[Mapping[str, Any]]
    """As a table of a schedule shows them, for a reader."""

    @property
    def name(self) -> str:
        """A name for the file."""
        return re.sub(r"[^\w+.-]", "-", f"{self.pair}-{self.schedule}") + ".json"

    def write(self, directory: Path) -> Path:
        """Write it to a directory, which is made if need be; gives the path."""
        directory.mkdir(parents=True, exist_ok=True)
        document = {"schema": SCHEMA, "made_by": f"airflow-stress {instrument.version()}", **asdict(self)}
        path = directory / self.name
        write_atomically(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return path


def read(path: Path) -> ScheduleFile:
    """Read a file. Raises BadScheduleFile."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadScheduleFile(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadScheduleFile(f"{path} is no schedule file: it is not JSON") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise BadScheduleFile(f"{path} is no schedule file of schema {SCHEMA}")
    wrong = [word for word in _WORDS if not isinstance(document.get(word), str)]
    sources = document.get("sources")
    if not isinstance(sources, dict) or not sources or not all(isinstance(value, str) for value in sources.values()):
        wrong.append("sources")
    if wrong:
        raise BadScheduleFile(f"{path} is no schedule file: {', '.join(wrong)} must be there")
    words = {word: document[word] for word in _WORDS}
    return ScheduleFile(
        **words, failures=document.get("failures", ()), sources=dict(sources or {}), steps=document.get("steps", ())
    )
