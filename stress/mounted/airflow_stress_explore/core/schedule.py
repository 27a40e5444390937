"""The string of a schedule: a run-length code of its choices.

Each choice is a capital letter, and `A4B2A` is four times A, twice B, then A. After the end of the string each choice
is the default one. What a letter names is the engine's: `sql` has a letter for each actor, and the default is that the
last one goes on, so the count of the last run is left out; `aio` has a letter for each position in the list of options,
and the default is A.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_RUN = re.compile(r"([A-Z])(\d*)")
_SCHEDULE = re.compile(r"(?:[A-Z][1-9]\d{0,4})*[A-Z](?:[1-9]\d{0,4})?")
"""No run has a hundred thousand choices."""


class BadSchedule(ValueError):  # noqa: N818 - it says what is wrong
    """The string is no schedule, or none of this pair on this release. The message says what does not fit."""


def encode(choices: Iterable[str]) -> str:
    """A schedule's string, from the names of the actors in the order of their steps."""
    runs = runs_of(choices)
    return _joined([*runs[:-1], *((letter, 1) for letter, _ in runs[-1:])])


def decode(text: str) -> list[str]:
    """The letters in the order of the choices. Raises BadSchedule."""
    if not _SCHEDULE.fullmatch(text):
        raise BadSchedule(f"{text!r} is no schedule: it looks like A4B2A")
    return [letter for letter, count in _RUN.findall(text) for _ in range(int(count or 1))]


def encode_positions(positions: Iterable[int]) -> str:
    """The string of choices that are positions; defaults (0) at the end are left out."""
    return _joined(runs_of("".join(LETTERS[position] for position in positions).rstrip("A"))) or "A"


def runs_of(letters: Iterable[str]) -> list[tuple[str, int]]:
    """The letters, each with how often it follows itself."""
    return [(letter, len(list(run))) for letter, run in itertools.groupby(letters)]


def _joined(runs: list[tuple[str, int]]) -> str:
    """A count of 1 of the last run is left out."""
    text = "".join(f"{letter}{count}" for letter, count in runs)
    return text[:-1] if runs and runs[-1][1] == 1 else text


def decode_positions(text: str) -> bytes:
    """The positions in the order of the choices. Raises BadSchedule."""
    return bytes(LETTERS.index(letter) for letter in decode(text))


def default_choice(runnable: Collection[str], current: str | None) -> str:
    """The default of actors with names: the one that took the last step, if it can go on, else the first by name."""
    return current if current is not None and current in runnable else min(runnable)
