"""The directory of a matrix: what was asked for, and one file a cell, each written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from stress import instrument
from stress.cache import write_atomically
from stress.matrix.cells import Cell, State, Tried

PARAMETERS = "parameters.json"
SCHEMA = 1


class Parameters(msgspec.Struct, frozen=True):
    """What the cells of a directory depend on, beside Airflow itself."""

    command: str
    releases: tuple[str, ...]
    races: tuple[str, ...]
    times: int
    load: str = ""
    """The budget of the run under load; empty without one."""

    stress: str = ""
    """Version and commit of airflow-stress."""

    schema: int = SCHEMA


def made_by() -> str:
    """The airflow-stress that runs."""
    return f"{instrument.version()} ({instrument.commit()})"


class Store:
    """Reads and writes the files of one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def mistakes(self, parameters: Parameters | None) -> list[str]:
        """Why the directory cannot take these results, a sentence each. Nothing is written.

        Without parameters, because they are not valid: why it cannot be used at all.
        """
        try:
            return [
                f"--out {str(self.directory)!r} {why}: choose another directory" for why in self._why_not(parameters)
            ]
        except OSError as error:
            return [f"--out {str(self.directory)!r} cannot be used: {error.strerror or error}"]

    def _why_not(self, parameters: Parameters | None) -> list[str]:
        if self.directory.exists() and not self.directory.is_dir():
            return ["is not a directory"]
        if not _writable(self.directory):
            return ["cannot be written to"]
        if parameters is None or not self.directory.exists() or not any(self.directory.iterdir()):
            return []
        try:
            there = msgspec.json.decode((self.directory / PARAMETERS).read_bytes(), type=Parameters)
        except FileNotFoundError:
            return ["is not empty, and holds no results of this command"]
        except msgspec.MsgspecError as error:
            return [f"has a file {PARAMETERS} that cannot be read ({error})"]
        different = [
            f"{name} {_shown(getattr(there, name))} there, {_shown(getattr(parameters, name))} here"
            for name in Parameters.__struct_fields__
            if getattr(there, name) != getattr(parameters, name)
        ]
        return [f"holds the results of other parameters ({'; '.join(different)})"] if different else []

    def open(self, parameters: Parameters) -> None:
        """Make the directory. Raises OSError if that is impossible."""
        self.directory.mkdir(parents=True, exist_ok=True)
        write_atomically(self.directory / PARAMETERS, _json(parameters))

    def cell(self, race: str, release: str) -> Cell | None:
        """A stored answer; None if there is none, or if it is a failure, which is not an answer."""
        try:
            found = msgspec.json.decode((self.directory / _cell(race, release)).read_bytes(), type=Cell)
        except FileNotFoundError:
            return None
        return None if any(tried.state is State.FAILED for tried in found.tried) else found

    def listing(self, tried: Tried) -> str:
        """The listing of a stored reproducer."""
        return (self.directory / tried.link).read_text(encoding="utf-8")

    def keep(self, cell: Cell, listings: Mapping[str, str]) -> None:
        """Store a cell; its listings, by path, first, so that a stored cell always has them."""
        for path, listing in listings.items():
            write_atomically(self.directory / path, listing)
        write_atomically(self.directory / _cell(cell.race, cell.release), _json(cell))

    def write(self, name: str, text: str) -> Path:
        """Write a report."""
        path = self.directory / name
        write_atomically(path, text)
        return path


def listing_path(reproducer: str, release: str) -> str:
    """The file of a reproducer's listing, relative to the directory."""
    return f"cells/{release}/{reproducer}.txt"


def _cell(race: str, release: str) -> str:
    return f"cells/{release}/{race}.json"


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value) or "none"


def _writable(path: Path) -> bool:
    while not path.exists():
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
