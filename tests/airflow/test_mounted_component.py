"""The dag-processor reads the DAG files of a run's scenarios, and every DAG file can be read by this release."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))

sys.path.insert(0, str(ROOT / "stress" / "mounted"))

import airflow_stress_component  # noqa: E402 - found above


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_read_unless_it_is_left_out(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_STRESS_DAG_FILES_LEFT_OUT", "another,other")
    assert airflow_stress_component.might_contain_dag(str(file))
    monkeypatch.setenv("AIRFLOW_STRESS_DAG_FILES_LEFT_OUT", f"another,{file.stem}")
    assert not airflow_stress_component.might_contain_dag(str(file))


def test_without_the_variable_airflow_s_heuristic_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AIRFLOW_STRESS_DAG_FILES_LEFT_OUT", raising=False)
    other = tmp_path / "other.py"
    other.write_text("# nothing of that kind\n")
    assert airflow_stress_component.might_contain_dag(str(FILES[0]))
    assert not airflow_stress_component.might_contain_dag(str(other))


def test_the_dag_files_can_be_imported() -> None:
    path = os.pathsep.join([str(ROOT / "stress" / "mounted"), str(ROOT / "dags")])
    done = subprocess.run(
        [sys.executable, "-c", "import runpy, sys; [runpy.run_path(file) for file in sys.argv[1:]]", *map(str, FILES)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
