"""The protocol between the harness and a process that plays schedules.

The process reads one request, a JSON object on a line of stdin, and writes JSON objects, one a line, on stdout:

    {"command": "explore", "pairs": ["..."], "preemptions": 2, "pruning": true, "budget_s": 60, "databases": [],
     "save": true}
    {"command": "explore", ..., "scheduler": "pct", "schedules": 200, "seed": 1, "depth": 3}
    {"command": "replay", "pairs": ["..."], "schedule": "A4B2A", "times": 20, "sources": {}, "save": false}
    {"command": "repro", "reproducers": ["..."], "times": 20, "enough": 3}    enough: failures that end it; 0: never

    ready              the process has imported what takes its time
    schedule           one schedule: `n`, `schedule`, `ok`, `failures`, `responses`, `steps`; of a search only those
                       that fail, with the `shortest` that fails so; of a reproducer `missed`: why this play says
                       nothing of the race, or nothing
    file               a schedule to be kept (`schedule`, `failures`, `steps`), and the fingerprints of what it has run
                       (`sources`); if the request says `save`
    other_sources      in place of a summary: the code is not that of the `sources` of the request (`differ`)
    progress           how far a search is, every two seconds
    summary            the end of a pair or reproducer: `pair`, `tried`, `failed`, `seconds`; of a search `pruned`,
                       `exhausted` and more
    unknown_operation  in place of a summary: this release lacks something that the pair uses (`operation`, `why`)
    error              the request is not valid (`message`); exit code 64
    failed             the process failed (`why`, `trace`); exit code 1

Everything else that is printed in the process goes to stderr: stdout is put aside before anything is imported.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.schedule import BadSchedule
from airflow_stress_explore.core.schedule_table import Row

EXIT_FAILED = 1
EXIT_USAGE = 64
MOST_ROWS = 120
"""Steps of a schedule in one line."""

Request = Mapping[str, Any]
Emit = Callable[[dict[str, Any]], None]
Command = Callable[[Request, Emit], None]


class BadRequest(ValueError):  # noqa: N818 - it says what is wrong
    """The request is not valid. The message says why, and what is."""


def serve(commands: Mapping[str, Command], prepare: Callable[[], None]) -> int:
    """Serve one request; the exit code. `prepare`: what takes its time, before the request is read."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def emit(line: dict[str, Any]) -> None:
        out.write(json.dumps(line, default=str) + "\n")
        out.flush()

    with out:
        try:
            prepare()
            emit({"kind": "ready"})
            request = _parse(sys.stdin.readline())
            commands[name_in(request, "command", commands)](request, emit)
        except (BadRequest, BadSchedule) as bad:
            emit({"kind": "error", "message": str(bad)})
            return EXIT_USAGE
        except Exception as error:
            emit({"kind": "failed", "why": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()})
            return EXIT_FAILED
    return 0


def _parse(line: str) -> Request:
    try:
        request = json.loads(line)
    except ValueError as error:
        raise BadRequest(f"the request is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise BadRequest("the request is not a JSON object")
    return request


def name_in(request: Request, key: str, known: Mapping[str, Any]) -> str:
    """A name of the request that must be known. Raises BadRequest."""
    return _known(key, request.get(key), known)


def names_in(request: Request, key: str, known: Mapping[str, Any]) -> list[str]:
    """A list of names of the request that must all be known. Raises BadRequest."""
    names = request.get(key)
    if not isinstance(names, list):
        raise BadRequest(f"{key} must be a list of names, and is {names!r}")
    return [_known(key, name, known) for name in names]


def _known(key: str, name: Any, known: Mapping[str, Any]) -> str:
    if name not in known:
        raise BadRequest(f"unknown name {name!r} in {key} (choose from {', '.join(known)})")
    return str(name)


def number_in(request: Request, key: str, default: int) -> int:
    """A whole number of the request. Raises BadRequest."""
    value = request.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadRequest(f"{key} must be a whole number, and is {value!r}")
    return value


def schedule_line(
    number: int, schedule: str, failures: Sequence[Failure], rows: Sequence[Row] = (), **more: Any
) -> dict[str, Any]:
    """The line of a schedule."""
    return {
        "kind": "schedule",
        "n": number,
        "schedule": schedule,
        "ok": not failures,
        "failures": [{"invariant": failure.invariant, "detail": failure.detail} for failure in failures],
        "steps": [row.as_json() for row in rows[:MOST_ROWS]],
        **more,
    }


def file_line(
    pair: str, schedule: str, failures: Sequence[Failure], rows: Sequence[Row], sources: Mapping[str, str]
) -> dict[str, Any]:
    """The line of a schedule that is to be kept."""
    line = schedule_line(1, schedule, failures, rows, sources=dict(sources), pair=pair)
    return {**line, "kind": "file"}


def other_sources_line(pair: str, differ: Sequence[str]) -> dict[str, Any]:
    """The line that ends a replay of a schedule of other sources. `differ`: a sentence each."""
    return {"kind": "other_sources", "pair": pair, "differ": list(differ)}


def summary_line(pair: str, tried: int, failed: int, began_s: float, **more: Any) -> dict[str, Any]:
    """The line that ends a pair or reproducer. `began_s`: of `time.monotonic`."""
    seconds = round(time.monotonic() - began_s, 3)
    return {"kind": "summary", "pair": pair, "tried": tried, "failed": failed, "seconds": seconds, **more}


def unknown_line(operation: str, why: str) -> dict[str, Any]:
    """The line that ends a pair that this release does not know."""
    return {"kind": "unknown_operation", "operation": operation, "why": why}
