"""The verdict as plain text for the end of a run: one line a race, after benchstat; no count without its denominator.

::

    race                verdict  stock        fixed          p (Holm)  rate ratio
    deadlock            removed  14 of 5,120  0 of 5,301      0.00014      < 0.23
    duplicate callback  unknown  3 of 40      0 of 41            0.37       < 1.7
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from stress.report import text
from stress.results import RaceState, Results, Verdict

_ANSI = MappingProxyType(
    {
        str(RaceState.REMOVED): "32",
        str(RaceState.TRADED): "31",
        str(RaceState.REDUCED): "31",
        str(RaceState.REMAINS): "31",
        str(RaceState.UNKNOWN): "33",
        str(Verdict.PASS): "32",
        str(Verdict.FAIL): "31",
    }
)
_TEXT_COLUMNS = 2  # race and verdict; all that follow are numbers, aligned to the right


def render(results: Results, *, colour: bool = False) -> str:
    """The table, the reason of each race that was not removed, what was not seen, and the verdict last."""
    arms = [arm.name for arm in results.arms]
    rows = [["race", "verdict", *arms, "p (joint)", "rate ratio"]]
    for race, verdict in results.races.items():
        rows.append(
            [
                text.race_title(race),
                str(verdict.verdict),
                *(text.out_of(verdict.arms.get(arm)) for arm in arms),
                text.p_or_none(verdict.p_adjusted),
                text.bound(verdict.rate_ratio_upper95),
            ]
        )
    states = ["", *(str(verdict.verdict) for verdict in results.races.values())]
    lines = [_line(cells, _widths(rows), state, colour) for cells, state in zip(rows, states, strict=True)]
    notes = [
        f"{text.race_title(race)}: {verdict.reason}"
        for race, verdict in results.races.items()
        if verdict.verdict is not RaceState.REMOVED
    ]
    notes += [f"worse: {harm.measure}: {harm.reason}" for harm in results.harm if harm.verdict == "worse"]
    notes += [f"not seen: {sentence}" for sentence in results.blind]
    notes += [f"error: {error}" for error in results.errors]
    notes += [f"note: {note}" for note in results.notes]
    word = _painted(str(results.verdict).upper(), str(results.verdict), colour)
    blocks = [*lines, "", *(text.printable(note) for note in notes), *([""] if notes else [])]
    return "\n".join([*blocks, f"{word}: {text.printable(text.headline(results))}"]) + "\n"


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]


def _line(cells: Sequence[str], widths: Sequence[int], state: str, colour: bool) -> str:
    padded = [
        cell.ljust(width) if column < _TEXT_COLUMNS else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    padded[1] = _painted(padded[1], state, colour)
    return "  ".join(padded).rstrip()


def _painted(word: str, state: str, colour: bool) -> str:
    """`word` in its state's colour, if colours are wanted; padding comes before, since it counts characters."""
    return f"\x1b[{_ANSI[state]}m{word}\x1b[0m" if colour and state in _ANSI else word
