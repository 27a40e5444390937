"""The database of a release: a machine that cannot make or copy it gets the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from stress.arms.environments import AirflowEnvironment
from stress.cluster.errors import PostgresError
from stress.cluster.supervision.guard import RunGuard
from stress.explore import lab


def test_a_copy_that_does_not_fit_is_told_with_its_reason(tmp_path: Path) -> None:
    source = tmp_path / "kept"
    source.mkdir()
    (source / "file").write_bytes(b"x")
    target = tmp_path / "copy"
    target.mkdir()
    # As on a disk that is full: the directory is there, and the file can't be written.
    (target / "kept").symlink_to("/dev/full")
    with pytest.raises(PostgresError, match=r"could not be copied: /bin/cp: .*"):
        lab._copy(source, target)


def test_a_copy_is_the_same(tmp_path: Path) -> None:
    source = tmp_path / "kept"
    source.mkdir()
    (source / "file").write_bytes(b"x")
    (source / "file").chmod(0o600)
    lab._copy(source, tmp_path / "copy")
    copied = tmp_path / "copy" / "file"
    assert copied.read_bytes() == b"x"
    assert copied.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("script", "first_line"),
    [
        ("echo Traceback; echo 'ImportError: no Styles'; exit 1", "of 3.1.1 ended with 1: ImportError: no Styles"),
        ("exec sleep 60", "of 3.1.1 did not end within 0 s"),
    ],
)
def test_a_migration_that_fails_has_its_reason_in_the_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, first_line: str
) -> None:
    program = tmp_path / "airflow"
    program.write_text(script)
    environment = AirflowEnvironment(Path("/bin/sh"), program, tmp_path, "3.1.1")
    monkeypatch.setattr(lab, "_MIGRATE_TIMEOUT_S", 60.0 if "exit" in script else 0.2)
    monkeypatch.setattr(lab.LabServer, "create_database", lambda *_: None)
    guard = RunGuard()
    try:
        with pytest.raises(PostgresError) as caught:
            lab.migrate(environment, lab.LabServer(guard.directory / "postgres", guard.label), guard)
    finally:
        guard.close()
    assert first_line in str(caught.value).splitlines()[0]
