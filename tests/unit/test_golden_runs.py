"""Stored runs of every schema of histories, judged by today's code: tests/golden/README.md says how each was made."""

from __future__ import annotations

import json
import lzma
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stress import commands, events, feed, history
from stress.layout import ROOT
from stress.report.files import FILE_NAMES

GOLDEN = ROOT / "tests" / "golden"
SCHEMAS = sorted(int(path.name) for path in GOLDEN.iterdir() if path.is_dir())
EVERY = pytest.mark.parametrize("schema", SCHEMAS)
TIMEOUT_S = 60
COSTS = ["throughput", "state_update_p01", "state_update_p50", "state_update_p95", "cpu"]
"""The costs of the plans of these runs; later plans have more."""
EXIT_CODES = {"pass": 0, "fail": 1, "unknown": 2}


def unpacked(schema: int, directory: Path) -> Path:
    """The directory of a stored run, as its harness left it."""
    directory.mkdir()
    golden = GOLDEN / str(schema)
    (directory / history.FILE_NAME).write_bytes(lzma.decompress((golden / "history.jsonl.xz").read_bytes()))
    shutil.copy(golden / "manifest.json", directory)
    if (golden / feed.DIRECTORY).is_dir():
        shutil.copytree(golden / feed.DIRECTORY, directory / feed.DIRECTORY)
    return directory


def expected(schema: int) -> dict[str, Any]:
    return decided(json.loads((GOLDEN / str(schema) / "results.json").read_text()))


def decided(results: dict[str, Any]) -> dict[str, Any]:
    """What results decide and by which counts, without their wording."""
    return {
        "run": [results["run_id"], results["seed"], results["state"], results["verdict"]],
        "races": {
            race: {
                "verdict": found["verdict"],
                "p_value": found["p_value"],
                "blocks": found["blocks"],
                "decided_after": found["decided_after"],
                "arms": found["arms"],
            }
            for race, found in results["races"].items()
        },
        "blocks": results["blocks"],
        "harm": {measure["measure"]: measure for measure in results["harm"]},
        "throughput": results["throughput"],
        "blind": results["blind"],
    }


def test_there_is_a_run_of_every_schema() -> None:
    assert list(range(1, events.SCHEMA + 1)) == SCHEMAS


@EVERY
def test_a_stored_run_is_judged_as_it_was(schema: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = unpacked(schema, tmp_path / "run")
    code = commands.analyze(str(run))
    results = json.loads((run / "results.json").read_text())
    assert decided(results) == expected(schema)
    assert code == EXIT_CODES[results["verdict"]]
    assert not any("ends early" in note for note in results["notes"])
    assert [cost["measure"] for cost in results["costs"]] == COSTS
    assert all(cost["low"] < cost["change"] < cost["high"] for cost in results["costs"] if cost["change"] is not None)
    assert results["run_id"] in capsys.readouterr().out


@EVERY
def test_its_reports_name_units_and_say_what_the_races_are(schema: int, tmp_path: Path) -> None:
    run = unpacked(schema, tmp_path / "run")
    commands.report(str(run))
    assert {path.name for path in run.iterdir()} >= set(FILE_NAMES)
    page = (run / "report.html").read_text()
    assert "PostgreSQL found a cycle of row locks" in page
    assert "per 1,000 state updates" in page


@EVERY
def test_its_history_is_of_its_schema(schema: int, tmp_path: Path) -> None:
    entries = history.read(unpacked(schema, tmp_path / "run") / history.FILE_NAME).entries
    kinds = {type(entry.event) for entry in entries}
    [run] = [entry.event for entry in entries if isinstance(entry.event, events.RunPlanned)]
    arms = [entry.event for entry in entries if isinstance(entry.event, events.ArmPlanned)]
    assert run.schema == (schema if schema >= 4 else 0)
    assert (events.CpuUsed in kinds) is (schema >= 2)
    assert any(arm.fix_roles for arm in arms) is (schema >= 3)
    assert ({events.RacePlanned, events.MeasurePlanned, events.RaceCounted} <= kinds) is (schema >= 4)


@EVERY
def test_it_names_no_path_of_the_machine(schema: int, tmp_path: Path) -> None:
    run = unpacked(schema, tmp_path / "run")
    for path in run.iterdir():
        assert re.findall(r"/(?:home|root|tmp|work|usr|opt|var)/[\w./-]+", path.read_text()) == []


# -- parts that are gone ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def without_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project without two races, a race's fixes, two components and a measure."""
    copy = tmp_path_factory.mktemp("project")
    for part in ("stress", "dags", "fixes", "requirements"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    for gone in ("stress/races/deadlock", "stress/races/stuck_task", "fixes/airflow_stress_fixes/deadlock"):
        shutil.rmtree(copy / gone)
    replace(
        copy / "stress" / "components.py",
        r"schedulers: int = 2, triggerers: int = 2",
        "schedulers: int = 1, triggerers: int = 1",
    )
    replace(copy / "stress" / "judge" / "costs.py", r'^ *Measure\("double_starts".*\n', "")
    return copy


def replace(path: Path, pattern: str, by: str) -> None:
    text, number = re.subn(pattern, by, path.read_text(), flags=re.MULTILINE)
    assert number == 1, f"{path} has {number} places like {pattern}"
    path.write_text(text)


def analyzed(project: Path, run: Path) -> dict[str, Any]:
    """The results of `stress analyze` by the copy's code."""
    environment = {**os.environ, "PYTHONPATH": f"{project}:{project / 'fixes'}", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "stress", "analyze", str(run)]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    results: dict[str, Any] = json.loads((run / "results.json").read_text())
    assert done.returncode == EXIT_CODES[results["verdict"]], done.stderr
    return results


def test_a_run_is_judged_alike_without_its_races_fixes_components_and_measures(
    without_parts: Path, tmp_path: Path
) -> None:
    results = analyzed(without_parts, unpacked(events.SCHEMA, tmp_path / "run"))
    assert decided(results) == expected(events.SCHEMA)
    assert "state updates" in results["races"]["deadlock"]["reason"]


@pytest.mark.parametrize("schema", [schema for schema in SCHEMAS if schema < 4])
def test_a_race_without_checker_and_without_stored_counts_is_unknown(
    schema: int, without_parts: Path, tmp_path: Path
) -> None:
    results = analyzed(without_parts, unpacked(schema, tmp_path / "run"))
    deadlock = results["races"]["deadlock"]
    assert deadlock["verdict"] == "unknown"
    assert "this version has no checker of deadlock, and the history holds no count of it" in deadlock["reason"]
    others = {race: found for race, found in decided(results)["races"].items() if race != "deadlock"}
    wanted = expected(schema)["races"]
    assert {race: found["arms"] for race, found in others.items()} == {race: wanted[race]["arms"] for race in others}
