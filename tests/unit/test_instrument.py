"""Which airflow-stress made a run, and which Airflow an arm that is no release runs."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from stress import instrument
from stress.arms import code
from stress.arms.releases import DEFAULT_RELEASE, check
from stress.arms.spec import Arm, parse_arm
from stress.layout import ROOT
from stress.report import text
from stress.results import ArmCode


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of Airflow, as far as an arm looks at one."""
    root = tmp_path / "airflow-pr"
    package = root / "airflow-core" / "src" / "airflow"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "3.3.2"\n')
    git(tmp_path, "init", "-q", str(root))
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def arm(path: Path) -> Arm:
    return parse_arm(f"mine={path}", check(DEFAULT_RELEASE))


def code_of(arm: Arm) -> ArmCode | None:
    return code.code_of(arm.airflow, arm.overlay)


def test_a_release_has_no_code_of_its_own() -> None:
    assert code_of(parse_arm("stock", check(DEFAULT_RELEASE))) is None


def test_a_checkout_is_named_with_its_revision(checkout: Path) -> None:
    revision = git(checkout, "rev-parse", "--short=12", "HEAD")
    assert code_of(arm(checkout)) == ArmCode("checkout", "airflow-pr", "3.3.2", revision)


def test_a_checkout_whose_files_were_changed_is_dirty(checkout: Path) -> None:
    file = checkout / "airflow-core" / "src" / "airflow" / "__init__.py"
    file.write_text(file.read_text() + "# changed\n")
    found = code_of(arm(checkout))
    assert found is not None
    assert found.revision.endswith("-dirty")


def test_a_folder_without_git_has_no_revision(tmp_path: Path) -> None:
    (tmp_path / "copy" / "airflow").mkdir(parents=True)
    (tmp_path / "copy" / "airflow" / "__init__.py").write_text('__version__ = "3.2.1"\n')
    assert code_of(arm(tmp_path / "copy")) == ArmCode("checkout", "copy", "3.2.1")


def test_a_wheel_is_named_with_the_version_of_its_metadata(tmp_path: Path) -> None:
    wheel = tmp_path / "apache_airflow_core-3.3.2.post1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("airflow/__init__.py", '__version__ = "another"\n')
        archive.writestr("apache_airflow_core-3.3.2.post1.dist-info/METADATA", "Version: 3.3.2.post1\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()[:12]
    assert code_of(arm(wheel)) == ArmCode("wheel", wheel.name, "3.3.2.post1", "", digest)


def test_reports_say_what_ran_and_on_what() -> None:
    assert text.airflow_of("3.2.1", None) == "3.2.1"
    dirty = ArmCode("checkout", "airflow-pr", "3.4.0", "0123456789ab-dirty")
    assert (
        text.airflow_of("3.3.2", dirty) == "3.4.0 (checkout airflow-pr at 0123456789ab-dirty) on the packages of 3.3.2"
    )


def test_the_commit_is_the_checkouts_or_what_a_container_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(instrument.COMMIT_VARIABLE, raising=False)
    head = git(ROOT, "rev-parse", "--short=12", "HEAD")
    assert instrument.commit() in (head, f"{head}-dirty")
    monkeypatch.setenv(instrument.COMMIT_VARIABLE, "abc")
    assert instrument.commit() == "abc"


def test_a_fix_has_another_digest_when_its_code_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "race").mkdir()
    for name in ("fix.py", "mount.py", "race/a.py", "race/b.py"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(instrument, "_PACKAGE", tmp_path)
    before = instrument.fix_digests(["a", "b"])
    (tmp_path / "race" / "a.py").write_text("changed")
    after = instrument.fix_digests(["a", "b"])
    assert (before["a"] != after["a"], before["b"] == after["b"]) == (True, True)
