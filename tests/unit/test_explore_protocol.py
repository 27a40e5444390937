"""The protocol of the processes that play schedules: one request in, JSON lines out, each failure in its own kind."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from stress.layout import MOUNTED

PROCESS = """
import sys
from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.protocol import names_in, number_in, schedule_line, serve, summary_line
from airflow_stress_explore.core.schedule import decode
from airflow_stress_explore.core.schedule_table import Row

def explore(request, emit):
    print("a library prints this")
    for name in names_in(request, "pairs", {"one": 1, "two": 2}):
        rows = [Row("A", "works", "SELECT 1")] * 200
        emit(schedule_line(1, "A4B", [Failure("deadlock", "why")], rows, responses={"A": "done"}))
        emit(summary_line(name, number_in(request, "times", 3), 1, 0.0, pruned=4))

def replay(request, emit):
    decode(request["schedule"])

def repro(request, emit):
    raise RuntimeError("the model is wrong")

def prepare():
    print("so does an import")

sys.exit(serve({"explore": explore, "replay": replay, "repro": repro}, prepare))
"""


def asked(line: str) -> tuple[int, list[dict[str, object]], str]:
    """The exit code, the lines, and what is on stderr."""
    answer = subprocess.run(
        [sys.executable, "-c", PROCESS],
        input=line + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(MOUNTED)},
    )
    return answer.returncode, [json.loads(each) for each in answer.stdout.splitlines()], answer.stderr


def test_only_json_lines_are_on_stdout() -> None:
    code, lines, errors = asked(json.dumps({"command": "explore", "pairs": ["two", "one"]}))
    assert code == 0
    assert [line["kind"] for line in lines] == ["ready", "schedule", "summary", "schedule", "summary"]
    assert "a library prints this" in errors
    assert "so does an import" in errors


def test_a_schedule_and_a_summary_have_their_fields() -> None:
    _, (_, schedule, summary), _ = asked(json.dumps({"command": "explore", "pairs": ["one"]}))
    steps = schedule.pop("steps")
    assert isinstance(steps, list)
    assert len(steps) == 120
    assert steps[0] == {
        "actor": "A", "operation": "works", "what": "SELECT 1", "locks": [], "waited_for": None, "outcome": None,
        "frame": "",
    }  # fmt: skip
    assert schedule == {
        "kind": "schedule", "n": 1, "schedule": "A4B", "ok": False, "responses": {"A": "done"},
        "failures": [{"invariant": "deadlock", "detail": "why"}],
    }  # fmt: skip
    assert isinstance(summary.pop("seconds"), float)
    assert summary == {"kind": "summary", "pair": "one", "tried": 3, "failed": 1, "pruned": 4}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "the request is not JSON: "),
        ("[]", "the request is not a JSON object"),
        ('{"command": "dance"}', "unknown name 'dance' in command (choose from explore, replay, repro)"),
        ('{"command": "explore", "pairs": ["three"]}', "unknown name 'three' in pairs (choose from one, two)"),
        ('{"command": "explore", "pairs": "one"}', "pairs must be a list of names, and is 'one'"),
        ('{"command": "explore", "pairs": ["one"], "times": -1}', "times must be a whole number, and is -1"),
        ('{"command": "explore", "pairs": ["one"], "times": true}', "times must be a whole number, and is True"),
        ('{"command": "replay", "schedule": "4A"}', "'4A' is no schedule: it looks like A4B2A"),
    ],
)
def test_a_request_that_is_not_valid_is_an_error(line: str, message: str) -> None:
    code, lines, _ = asked(line)
    assert code == 64
    assert lines[-1]["kind"] == "error"
    assert str(lines[-1]["message"]).startswith(message)


def test_a_failure_of_the_process_is_told_with_its_traceback() -> None:
    code, lines, _ = asked('{"command": "repro"}')
    assert code == 1
    assert lines[-1]["kind"] == "failed"
    assert lines[-1]["why"] == "RuntimeError: the model is wrong"
    assert "in repro" in str(lines[-1]["trace"])
