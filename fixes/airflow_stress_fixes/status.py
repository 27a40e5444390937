"""What the running processes of this host or container report of their fixes: a table, or metrics.

    python -m airflow_stress_fixes.status [--metrics]

It reads ``AIRFLOW_STRESS_FIX_STATUS_DIR``, to which each process writes (``mount``), and leaves out processes that
have ended, so it must run in the same container as they do. For each component it compares what its processes report
with the fixes that must load in that component (``Fix.components``):

    loaded       the fix is active in a process of the component
    not_needed   the release does not have the defect
    refused      the release, the source or the database was not examined; stock code runs
    error        the fix or the mount failed; stock code runs
    waiting      no process of the component has imported the module that the fix patches: the component is starting, or
                 runs in interpreters that do not see the mount

Exit codes: 0 every fix is ``loaded`` or ``not_needed``; 1 another status, or no process reports; 64 bad arguments.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_stress_fixes import catalogue
from airflow_stress_fixes.mount import FIXES_VARIABLE, STATUS_VARIABLE

GOOD = ("loaded", "not_needed")
STATUSES = (*GOOD, "refused", "error", "waiting")
_METRIC = "airflow_stress_fix_processes"
_USAGE = "usage: python -m airflow_stress_fixes.status [--metrics]"


@dataclass(frozen=True)
class Line:
    """A fix in a component: how many of its processes have it in a status, and why in the words of one of them."""

    component: str
    fix: str
    status: str
    processes: int
    detail: str


def read(directory: Path) -> list[Line]:
    """The lines of all components whose processes live, in the order of components and fixes."""
    components: dict[str, list[Mapping[str, Mapping[str, str]]]] = {}
    for component, last in _processes(directory):
        components.setdefault(component, []).append(last)
    return [line for name in sorted(components) for line in _component(name, components[name])]


def _component(name: str, processes: Sequence[Mapping[str, Mapping[str, str]]]) -> Iterator[Line]:
    """One line for each status of a fix that counts: it must load here, or it was refused or failed."""
    for fix in dict.fromkeys(fix for process in processes for fix in process):
        known = catalogue.FIXES.get(fix)
        found: dict[str, list[str]] = {}
        for process in processes:
            if fix in process:
                found.setdefault(process[fix]["status"], []).append(process[fix]["detail"])
        # Its processes include probes and command lines, which import little: one that has the fix answers for them.
        armed = found.pop("armed", [])
        if not found and known is not None and name in known.components:
            found["waiting"] = armed
        for status in STATUSES:
            if status in found:
                yield Line(name, fix, status, len(found[status]), found[status][0])


def _processes(directory: Path) -> Iterator[tuple[str, dict[str, Mapping[str, str]]]]:
    """The component of each living process and the last report of each of its fixes. Removes files of ended ones."""
    for file in sorted(directory.glob("*.jsonl")):
        name, _, pid = file.stem.rpartition("-")
        if int(pid) == os.getpid():  # it has the component's variables, and is none
            continue
        if not _lives(int(pid)):
            with contextlib.suppress(OSError):
                file.unlink()
            continue
        last = {}
        for text in file.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            last[str(line["fix"])] = line
        # Several of a kind may have numbers: scheduler-1, scheduler-2.
        yield re.sub(r"-\d+$", "", name), last


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def metrics(lines: Sequence[Line]) -> str:
    """The lines in Prometheus's text format: every status of a fix that a component reports, at 0 where none has it."""
    values = {(line.component, line.fix, line.status): line.processes for line in lines}
    fixes = dict.fromkeys((line.component, line.fix) for line in lines)
    series = [
        f'{_METRIC}{{component="{component}",fix="{fix}",status="{status}"}} {values.get((component, fix, status), 0)}'
        for component, fix in fixes
        for status in STATUSES
    ]
    head = [f"# HELP {_METRIC} Living processes by the status of a fix in them.", f"# TYPE {_METRIC} gauge"]
    return "\n".join([*head, *series]) + "\n"


def table(lines: Sequence[Line]) -> str:
    """The lines for a reader; a reason below each line that is not good."""
    rows = []
    for line in lines:
        rows.append(f"{line.component:<14} {line.fix:<34} {line.status:<11} {line.processes}")
        if line.status in ("refused", "error"):
            rows += [f"    {text}" for text in line.detail.splitlines()]
    return "\n".join([f"{'component':<14} {'fix':<34} {'status':<11} processes", *rows]) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Print the table or the metrics."""
    directory = os.environ.get(STATUS_VARIABLE)
    if arguments not in ([], ["--metrics"]) or not directory:
        print(_USAGE, file=sys.stderr)
        if not directory:
            print(f"{STATUS_VARIABLE} is not set: no process reports its fixes", file=sys.stderr)
        return 64
    lines = read(Path(directory))
    if arguments:
        sys.stdout.write(metrics(lines))
    elif lines:
        sys.stdout.write(table(lines))
    if not lines:
        asked = os.environ.get(FIXES_VARIABLE) or "none"
        print(f"no living process reports a fix in {directory} (asked for: {asked})", file=sys.stderr)
    return 0 if lines and all(line.status in GOOD for line in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
