"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from stress.cache import write_atomically


def test_a_file_is_written_with_its_directory(tmp_path: Path) -> None:
    write_atomically(tmp_path / "some" / "file.json", "{}")
    assert (tmp_path / "some" / "file.json").read_text() == "{}"
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["file.json"]


def test_what_cannot_be_written_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file.json").mkdir()
    with pytest.raises(OSError, match=r"file\.json'$"):
        write_atomically(tmp_path / "file.json", "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]
