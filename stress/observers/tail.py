"""Follows a file that another process appends to, and notices when its content cannot be seen any more.

A tail that silently reads a file without a writer is the worst observer: it reports zero. So a file that vanishes, is
replaced or shrinks is an error, not an empty answer.
"""

from __future__ import annotations

import os
from pathlib import Path


class SourceLost(Exception):  # noqa: N818 - it says what happened
    """The source cannot be seen any more, or was not seen for a time."""


class Tail:
    """Complete lines of a growing file, from `offset` bytes on."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self._offset = offset
        self._rest = b""
        self._inode: int | None = None

    def lines(self) -> list[bytes]:
        """The lines completed since the last call. Raises SourceLost if the file is not what it was."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if self._inode is not None and status.st_ino != self._inode:
                    raise SourceLost(f"{self.path.name} was replaced by another file")
                self._inode = status.st_ino
                if status.st_size < self._offset:
                    raise SourceLost(
                        f"{self.path.name} shrank from {self._offset} to {status.st_size} bytes while it was read"
                    )
                if status.st_size == self._offset:
                    return []
                file.seek(self._offset)
                data = file.read(status.st_size - self._offset)
        except FileNotFoundError as error:
            raise SourceLost(f"{self.path.name} is not there") from error
        except OSError as error:
            raise SourceLost(f"{self.path.name} can't be read: {error}") from error
        self._offset += len(data)
        *complete, self._rest = (self._rest + data).split(b"\n")
        return complete


class DirectoryTail:
    """Complete lines of all files of a growing directory: one file a process, never removed while it is followed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._tails: dict[str, Tail] = {}

    def lines(self, prefix: str = "") -> list[tuple[str, bytes]]:
        """(file name, line) of every line completed since the last call. A directory that does not exist yet has
        none."""
        try:
            names = sorted(entry.name for entry in os.scandir(self.directory) if entry.name.startswith(prefix))
        except FileNotFoundError as error:
            if self._tails:
                raise SourceLost(f"the directory {self.directory.name} is not there any more") from error
            return []
        for name in names:
            self._tails.setdefault(name, Tail(self.directory / name))
        return [(name, line) for name, tail in self._tails.items() for line in tail.lines()]
