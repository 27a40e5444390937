"""Wheels as an arm: what they require, and their content in the cache."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from stress.arms.overlay.requirements import locked_versions, unmet
from stress.arms.overlay.wheel import read_wheel, unpack
from stress.arms.releases import check

BASE = {"apache-airflow-task-sdk": "1.3.2", "pydantic": "2.12.0"}


def wheel(directory: Path, name: str, version: str, *requires: str, files: Sequence[str] = ()) -> Path:
    path = directory / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    headers = "".join(f"Requires-Dist: {line}\n" for line in requires)
    with zipfile.ZipFile(path, "w") as archive:
        for file in ("airflow/__init__.py", *files):
            archive.writestr(file, "")
        archive.writestr(
            "x.dist-info/METADATA", f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{headers}\n"
        )
    return path


def test_a_wheel_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path / "cache"))
    path = wheel(tmp_path, "apache-airflow-core", "3.4.0")
    directory = unpack([path], tmp_path, "3.4.0-x")
    assert (directory / "airflow" / "__init__.py").is_file()
    marker = (directory / ".complete").stat().st_mtime_ns
    assert unpack([path], tmp_path, "3.4.0-x") == directory
    assert (directory / ".complete").stat().st_mtime_ns == marker


def test_core_and_task_sdk_are_in_one_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path / "cache"))
    core = wheel(tmp_path, "apache-airflow-core", "3.4.0", files=("airflow/config_templates/config.yml",))
    sdk = wheel(tmp_path, "apache-airflow-task-sdk", "1.4.0", files=("airflow/sdk/configuration.py",))
    airflow = unpack([core, sdk], tmp_path, "3.4.0-x") / "airflow"
    assert (airflow / "sdk" / "configuration.py").is_file()
    assert (airflow / "config_templates" / "config.yml").is_file()


def test_a_task_sdk_alone_has_the_configuration_files_of_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path / "cache"))
    installed = tmp_path / "site-packages"
    (installed / "airflow" / "config_templates").mkdir(parents=True)
    (installed / "airflow" / "config_templates" / "config.yml").touch()
    sdk = wheel(tmp_path, "apache-airflow-task-sdk", "1.4.0", files=("airflow/sdk/configuration.py",))
    assert (unpack([sdk], installed, "3.4.0-x") / "airflow" / "config_templates" / "config.yml").is_file()


def test_what_the_base_has_is_enough(tmp_path: Path) -> None:
    core = read_wheel(
        wheel(tmp_path, "apache-airflow-core", "3.3.2", "apache-airflow-task-sdk==1.3.2", "Pydantic>=2.11")
    )
    assert unmet((core,), BASE) == []


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("apache-airflow-task-sdk==1.4.0b2", "requires apache-airflow-task-sdk==1.4.0b2, and there is 1.3.2"),
        ("pydantic>=3", "requires pydantic>=3, and there is 2.12.0"),
        ("httpx2>=2", "requires httpx2>=2, and there is none"),
    ],
)
def test_each_requirement_that_is_not_met_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    core = read_wheel(wheel(tmp_path, "apache-airflow-core", "3.4.0b2", line, "pydantic"))
    assert unmet((core,), BASE) == [f"apache-airflow-core 3.4.0b2 {sentence}"]


def test_another_wheel_of_the_arm_meets_a_requirement(tmp_path: Path) -> None:
    core = read_wheel(wheel(tmp_path, "apache-airflow-core", "3.4.0b2", "apache-airflow-task-sdk==1.4.0b2"))
    sdk = read_wheel(wheel(tmp_path, "apache-airflow-task-sdk", "1.4.0b2", "apache-airflow-core>=3.4.0b1"))
    assert unmet((core, sdk), BASE) == []


@pytest.mark.parametrize("line", ["gevent>=1; extra == 'async'", "tomli>=1; python_version < '3.0'"])
def test_a_requirement_that_does_not_hold_here_is_not_compared(tmp_path: Path, line: str) -> None:
    assert unmet((read_wheel(wheel(tmp_path, "apache-airflow-core", "3.3.2", line)),), BASE) == []


def test_a_lock_tells_the_versions_of_this_python() -> None:
    old, new = "a==1.0 ; python_full_version < '3.0'", "a==2.0 ; python_full_version >= '3.0'"
    lock = f"{old} \\\n    --hash=sha256:0\n{new} \\\nB_c==3\n"
    assert locked_versions(lock) == {"a": "2.0", "b-c": "3"}


def test_a_committed_lock_is_read_whole() -> None:
    lock = check("3.3.2").committed_lock
    assert lock is not None
    versions = locked_versions(lock.read_text(encoding="utf-8"))
    assert versions["apache-airflow-core"] == "3.3.2"
    assert versions["apache-airflow-task-sdk"] == "1.3.2"
    assert len(versions) > 100
