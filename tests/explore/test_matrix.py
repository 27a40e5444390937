"""`stress matrix` and `stress rc` on real releases: right cells, early ends, and nothing lost by a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stress.cli import main
from stress.explore.catalogue import RACES
from stress.matrix.play import ENOUGH

TIMES = 5


def test_an_outcome_is_that_of_the_reproducer_and_seen_ends_early(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--race", "deadlock", "--race", "out_of_order_frame", "--times", str(TIMES), "--out", str(tmp_path)]
    assert main(["matrix", "--airflow", "3.2.1,3.3.2", *words, "--json"]) == 0
    for cell in json.loads(capsys.readouterr().out)["cells"]:
        for name, found in cell["reproducers"].items():
            has_it = cell["release"] in RACES[name].releases
            assert (found["occurred"], found["of"]) == ((ENOUGH, ENOUGH) if has_it else (0, TIMES))
            listing = (tmp_path / found["link"]).read_text()
            assert listing.endswith(f"{name} on {cell['release']}, stock: {found['occurred']} of {found['of']}\n")


def test_a_killed_command_loses_no_stored_cell(tmp_path: Path) -> None:
    words = ["matrix", "--airflow", "3.2.1", "--race", "deadlock", "--race", "orphaned_runner"]
    words += ["--times", str(TIMES), "--out", str(tmp_path)]
    command = [sys.executable, "-m", "stress", *words]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert first.stderr is not None
    assert any("deadlock: seen" in line for line in first.stderr)  # it ends at that line, or with the process
    first.send_signal(signal.SIGKILL)
    first.stderr.close()
    assert first.wait(30) == -signal.SIGKILL
    stored = tmp_path / "cells/3.2.1/deadlock.json"
    written_ns = stored.stat().st_mtime_ns
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert "1 of 2 races are stored" in done.stderr
    assert stored.stat().st_mtime_ns == written_ns
    assert (tmp_path / "cells/3.2.1/orphaned_runner.json").is_file()


def test_a_candidate_is_compared_with_the_release_before_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--race", "deadlock", "--race", "lost_mark", "--no-load", "--times", str(TIMES), "--out", str(tmp_path)]
    assert main(["rc", "3.3.2", "--against", "3.2.1", *words, "--json"]) == 1
    rows = {row["race"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert {race: row["status"] for race, row in rows.items()} == {"deadlock": "addressed", "lost_mark": "remains"}
    assert {way["name"]: way["status"] for way in rows["lost_mark"]["ways"]} == {
        "lost_mark_overwrite": "absent",
        "lost_mark_deadlock": "remains",
        "lost_mark_run_deadlock": "new",
        "lost_mark_run_success": "remains",
    }
    assert "40P01" in (tmp_path / "status.md").read_text()
