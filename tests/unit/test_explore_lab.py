"""The database's copy: a machine that can't make it is told why."""

from __future__ import annotations

from pathlib import Path

import pytest

from stress.cluster.errors import PostgresError
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
