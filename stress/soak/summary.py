"""The page: the verdict, its table, then everything else. For a file, and for a GitHub job's page."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from stress.soak.collect import is_reported
from stress.soak.options import PROGRAM
from stress.soak.state import Soak

PAGE_BYTES = 1024 * 1024 - 1024
"""GitHub drops the whole page of a step beyond 1 MiB."""
_TAIL_LINES = 40
_TAIL_WIDTH = 300
_NOTE_BYTES = 200
"""Room for the note about what was cut."""


def summary(soak: Soak, code: int, problems: Sequence[str], run: Path | None) -> str:
    """The whole page, in Markdown."""
    own = ""
    if run is not None and is_reported(run):
        own = (run / "summary.md").read_text(errors="replace").strip()
    if not problems and own:
        parts = [own]
    else:
        parts = [f"# Failed: {problems[0] if problems else 'there is no summary of the run'}"]
        if own:
            parts.append(re.sub(r"^(#+ )", r"#\1", own, flags=re.MULTILINE))
        parts.append("\n".join(f"- {problem}" for problem in problems))
        for name in ("compose.log", "judge.log"):
            tail = _tail(soak.out / name)
            if tail:
                parts.append(f"The end of `{name}`:\n\n{_fenced(tail)}")
    command = f"{PROGRAM} --duration {soak.duration} --seed {soak.seed}"
    command += f" --airflow {soak.airflow}" if soak.airflow else ""
    parts.append(f"Exit code {code}. Reproduce with: `{command}`. History, report and logs are in the artifacts.")
    return "\n\n".join(parts) + "\n"


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    except OSError:
        return ""
    return "\n".join("".join(c for c in line if c.isprintable())[:_TAIL_WIDTH] for line in lines)


def _fenced(text: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def cut(text: str, limit: int) -> str:
    """Whole lines within the limit in bytes, with a note about the rest. The most important part comes first."""
    data = text.encode(errors="replace")
    if len(data) <= limit:
        return text
    room = limit - _NOTE_BYTES
    kept = data[: data.rfind(b"\n", 0, room) + 1] or data[:room]
    lines, size = data[len(kept) :].count(b"\n"), len(data) - len(kept)
    note = f"*Cut here: {lines:,} more lines ({size:,} bytes) are in `summary.md` among the artifacts.*\n"
    return kept.decode(errors="ignore") + "\n" + note


class Page:
    """The page of a GitHub job, if the soak runs in one. It is written anew when there is more to report."""

    def __init__(self) -> None:
        name = os.environ.get("GITHUB_STEP_SUMMARY")
        self._path = Path(name) if name else None
        self._before = self._path.read_bytes() if self._path is not None and self._path.exists() else b""

    def write(self, text: str) -> str | None:
        """Write the page after what it held before. Returns why it could not be written, or None."""
        if self._path is None:
            return None
        try:
            self._path.write_bytes(self._before + cut(text, PAGE_BYTES - len(self._before)).encode(errors="replace"))
        except OSError as error:
            return f"the job's page can't be written: {error.strerror or error}"
        return None
