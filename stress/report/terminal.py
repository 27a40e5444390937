"""The verdict as plain text for the end of a run: one line a race, after benchstat; no count without its denominator.

::

    race                verdict        stock       fixed  p (joint)  rate ratio
    deadlock            removed  14 of 5,120  0 of 5,301     0.0079      < 0.23
    duplicate callback  unknown      3 of 40     0 of 41       0.37       < 1.7
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from stress.report import costs, text
from stress.results import Anomalies, RaceState, Results, RunState, Verdict

_ANSI = MappingProxyType(
    {
        str(RaceState.REMOVED): "32",
        str(RaceState.REDUCED): "31",
        str(RaceState.TRADED): "31",
        str(RaceState.REMAINS): "31",
        str(RaceState.UNKNOWN): "33",
        text.UNDECIDED: "33",
        "worse": "31",
        "better": "32",
        str(Verdict.PASS): "32",
        str(Verdict.FAIL): "31",
    }
)
_TEXT_COLUMNS = 2  # race and verdict; all that follow are numbers, aligned to the right


def render(results: Results, *, colour: bool = False) -> str:
    """Why the run was cut short, the tables, why each race was not removed, what was not seen, the verdict."""
    errors = text.errors_of(results)
    cut = RunState.INTERRUPTED if results.state is RunState.INTERRUPTED else RunState.FAILED
    blocks = [f"{cut}: {text.printable(error)}" for error in errors]
    blocks += [""] if errors else []
    if results.blocks:
        blocks += [*_races(results, colour), ""]
        if costs.harm_alone(results):
            blocks += [*_harm(results, colour), ""]
        if results.costs:
            blocks += [*_costs(results, colour), ""]
        if results.anomalies is not None:
            blocks += [*_anomalies(results, results.anomalies), ""]
    notes = [
        f"{text.race_title(race)}: {verdict.reason}"
        for race, verdict in results.races.items()
        if verdict.verdict is not RaceState.REMOVED and results.blocks
    ]
    notes += text.anomaly_lines(results.anomalies)
    notes += [f"not seen: {sentence}" for sentence in results.blind]
    notes += [f"note: {note}" for note in results.notes if note not in errors]
    word = _painted(str(results.verdict).upper(), str(results.verdict), colour)
    blocks += [*(text.printable(note) for note in notes), *([""] if notes else [])]
    return "\n".join([*blocks, f"{word}: {text.printable(text.headline(results))}"]) + "\n"


def _races(results: Results, colour: bool) -> list[str]:
    """One row a race; below it one row a cause, where it has several."""
    arms = [arm.name for arm in results.arms]
    rows = [["race", "verdict", *arms, "p (joint)", "rate ratio"]]
    states = [""]
    for race, verdict in results.races.items():
        counts = [verdict.arms.get(arm) for arm in arms]
        states.append(text.state_word(results, verdict))
        rows.append(
            [
                text.race_title(race),
                text.state_word(results, verdict),
                *map(text.out_of, counts),
                text.p_or_none(verdict.p_adjusted),
                text.bound(verdict.rate_ratio_upper95),
            ]
        )
        causes = text.cause_counts(counts)
        for cause, numbers in causes if len(causes) > 1 else ():
            states.append("")
            rows.append([f"  {cause}", "", *numbers, "", ""])
    return [_line(cells, _widths(rows), state, colour) for cells, state in zip(rows, states, strict=True)]


def _harm(results: Results, colour: bool) -> list[str]:
    """One row a measure of harm that is no cost."""
    arms = [arm.name for arm in results.arms]
    measures = costs.harm_alone(results)
    rows = [["harm", "verdict", *arms, "p"]]
    rows += [
        [m.measure, m.verdict, *(text.harm_value(m, arm) for arm in arms), text.p_or_none(m.p_value)] for m in measures
    ]
    states = ["", *(measure.verdict for measure in measures)]
    return [_line(cells, _widths(rows), state, colour) for cells, state in zip(rows, states, strict=True)]


def _costs(results: Results, colour: bool) -> list[str]:
    """One row a cost, as benchstat writes them."""
    rows = [costs.header([arm.name for arm in results.arms]), *costs.rows(results)]
    states = ["", *(cost.verdict for cost in results.costs)]
    return [_line(cells, _widths(rows), state, colour) for cells, state in zip(rows, states, strict=True)]


def _anomalies(results: Results, anomalies: Anomalies) -> list[str]:
    """One row a checker that found something; how many transitions were checked, always."""
    arms = [arm.name for arm in results.arms]
    rows = [["anomalies", "", *arms], ["transitions checked", "", *(text.transitions(anomalies, arm) for arm in arms)]]
    rows += [
        [text.race_title(checker), anomalies.units[checker], *(text.anomalies_out_of(counts.get(arm)) for arm in arms)]
        for checker, counts in anomalies.checkers.items()
        if any(count.found for count in counts.values())
    ]
    return [_line(cells, _widths(rows), "", colour=False) for cells in rows]


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
