"""How a number, a time, a race or a verdict is written, the same in every format.

Numbers are for reading: two or three significant digits, thousands separated by commas, and an en dash where there is
none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from stress.judge.wording import p_text
from stress.results import (
    Anomalies,
    AnomalyCount,
    AnomalyWitness,
    ArmCode,
    ArmCount,
    ArmSummary,
    BlockSummary,
    HarmMeasure,
    RaceState,
    RaceVerdict,
    Results,
    RunFacts,
    RunState,
    Verdict,
)

NONE = "–"
UNDECIDED = "undecided"

# XML 1.0 cannot write these, not even as references, and terminals interpret some of them. Logs contain them, for
# example as colours.
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: str) -> str:
    """`text` with each character that XML does not allow replaced by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def count(number: int) -> str:
    """`5,301`."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """`1 block`, `2 blocks`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def out_of(arm: ArmCount | None) -> str:
    """`14 of 5,120`: never a count without its denominator."""
    return NONE if arm is None else f"{arm.incidents:,} of {arm.opportunities:,}"


def anomalies_out_of(counted: AnomalyCount | None) -> str:
    """`3 of 5,120`, and which races explain how many of them: `3 of 5,120 (lost_mark 1, unexplained 2)`."""
    if counted is None:
        return NONE
    parts = [f"{race} {number:,}" for race, number in counted.explained.items()]
    parts += [f"unexplained {counted.unexplained:,}"] if counted.unexplained else []
    return f"{counted.found:,} of {counted.opportunities:,}" + (f" ({', '.join(parts)})" if parts else "")


def transitions(anomalies: Anomalies, arm: str) -> str:
    """How many transitions of an arm were checked."""
    return count(anomalies.transitions.get(arm, 0))


def anomaly_lines(anomalies: Anomalies | None) -> list[str]:
    """The first unexplained anomaly of each checker on each arm, and the blocks that the model did not check."""
    if anomalies is None:
        return []
    first: dict[tuple[str, str], AnomalyWitness] = {}
    for witness in anomalies.unexplained:
        first.setdefault((witness.checker, witness.arm), witness)
    lines = [
        f"unexplained {race_title(each.checker)}, {each.arm}, block {each.block} at {seconds(each.at_s)}: {each.what}"
        for each in first.values()
    ]
    return lines + [f"not checked for anomalies: {sentence}" for sentence in anomalies.blind]


def significant(number: float | None, digits: int = 3) -> str:
    """`digits` significant digits without an exponent: `0.0274`, `2.73`, `1,230`."""
    if number is None:
        return NONE
    if number == 0:
        return "0"
    if abs(number) >= 10 ** (digits - 1):
        return f"{number:,.0f}"
    text = f"{number:.{digits}g}"
    return text if "e" not in text else f"{number:.{digits + 6}f}"


def per_thousand(arm: ArmCount | None) -> str:
    """Incidents per 1,000 opportunities."""
    if arm is None or not arm.opportunities:
        return NONE
    return significant(1000 * arm.incidents / arm.opportunities)


def per_hour(arm: ArmCount | None) -> str:
    """Incidents per hour of load."""
    if arm is None or not arm.exposure_s:
        return NONE
    return significant(3600 * arm.incidents / arm.exposure_s)


def p_or_none(p: float | None) -> str:
    """A p-value, or a dash."""
    return NONE if p is None else p_text(p)


def bound(ratio: float | None) -> str:
    """The upper bound of a rate ratio: `< 0.23`."""
    return NONE if ratio is None else f"< {significant(ratio, 2)}"


def seconds(duration_s: float | None) -> str:
    """`6.4 s`, `3 min 02 s`, `1 h 05 min`."""
    if duration_s is None:
        return NONE
    if round(duration_s, 1) < 60:
        return f"{duration_s:.1f} s"
    whole = round(duration_s)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(duration_s / 60)
    return f"{minutes // 60} h {minutes % 60:02} min"


def clock(at_s: int) -> str:
    """`0:00`, `1:30`, `1:00:00`."""
    minutes, second = divmod(at_s, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def megabytes(size_bytes: int) -> str:
    """`870 MB`, `1.42 GB`; a MB is 10**6 bytes."""
    return f"{size_bytes / 1e9:.2f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def change(new: float, old: float) -> str:
    """How much `new` differs from `old`: `+3.5 %`."""
    return NONE if not old else f"{100 * (new / old - 1):+.1f} %".replace("-", "\N{MINUS SIGN}")


def moment(unix_s: float | None) -> str:
    """`2026-05-04 10:20:33 UTC`."""
    return NONE if unix_s is None else datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def airflow_of(release: str, code: ArmCode | None) -> str:
    """What ran: `3.2.1`, or `3.4.0 (checkout airflow at 1a2b3c4d5e6f) on the packages of 3.3.2`."""
    return release if code is None else code.on(release)


def race_title(race: str) -> str:
    """`out of order frame`."""
    return race.replace("_", " ")


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def without_state(reason: str) -> str:
    """A verdict's reason without its leading state, for places that show the state separately."""
    return re.sub(rf"^(?:{'|'.join(RaceState)}): ", "", reason)


def sentence(words: str) -> str:
    """`words` with a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."


def errors_of(results: Results) -> tuple[str, ...]:
    """Why a run failed or was interrupted; any other run has no errors."""
    if results.errors or results.state is not RunState.FAILED:
        return results.errors
    return results.notes[:1]


def cut_short(results: Results) -> str:
    """A sentence on a run that did not reach its end, with the first line of the reason; empty for any other."""
    if results.state is RunState.INTERRUPTED:
        return "The run was interrupted. "
    if results.state is not RunState.FAILED:
        return ""
    first = next(iter(errors_of(results)), "").strip().partition("\n")[0].rstrip(":.; ")
    return f"The run failed: {first}. " if first else "The run failed. "


def why_ended(results: Results) -> str:
    """The title of the reasons that `errors_of` gives."""
    return "Why the run was interrupted" if results.state is RunState.INTERRUPTED else "Why the run failed"


def state_word(results: Results, verdict: RaceVerdict) -> str:
    """A race's state, or `undecided` where a run that did not reach its end left it open."""
    is_open = verdict.decided_after is None and verdict.verdict in (RaceState.UNKNOWN, RaceState.REMAINS)
    return UNDECIDED if is_open and results.state is not RunState.DONE else str(verdict.verdict)


def headline(results: Results) -> str:
    """The run's verdict in one sentence."""
    by_state = {state: [race_title(r) for r, v in results.races.items() if v.verdict is state] for state in RaceState}
    first = next(iter(results.races.values()), None)
    cut = cut_short(results)
    if first is None or not results.blocks:
        return f"{cut}No race was judged."
    if results.verdict is Verdict.PASS:
        races = "All " + counted(len(results.races), "race") + " were" if len(results.races) > 1 else "The race was"
        gone = "are" if len(results.races) > 1 else "is"
        return f"{races} seen on {first.control}, and {gone} gone on {first.under_test}."
    if results.verdict is Verdict.FAIL:
        parts = []
        if remains := by_state[RaceState.REMAINS]:
            parts.append(f"{listed(remains)} {'remains' if len(remains) == 1 else 'remain'} on {first.under_test}")
        if traded := by_state[RaceState.TRADED]:
            worse = [measure.measure for measure in results.harm if measure.verdict == "worse"]
            gone = "is" if len(traded) == 1 else "are"
            parts.append(f"{listed(traded)} {gone} gone on {first.under_test}, which is worse in {listed(worse)}")
        if reduced := by_state[RaceState.REDUCED]:
            parts.append(f"{listed(reduced)} {'is' if len(reduced) == 1 else 'are'} reduced, not removed")
        return sentence("; ".join(parts))
    unknown = by_state[RaceState.UNKNOWN]
    if not unknown:
        if not cut:
            return "Every race was decided, but the result is unknown."
        return f"{cut}Every race was decided, but the run was cut short, so the result is unknown."
    rest = f" Removed: {listed(by_state[RaceState.REMOVED])}." if by_state[RaceState.REMOVED] else ""
    return f"{cut}Undecided: {listed(unknown)}.{rest}"


def arm_line(arm: ArmSummary, digests: Mapping[str, str]) -> str:
    """`Airflow 3.2.1, fixes callback_claim (1a2b3c4d5e6f)`: the code of an arm, whole."""
    fixes = ", ".join(f"{fix} ({digests[fix]})" if fix in digests else fix for fix in arm.fixes) or "none"
    return f"Airflow {airflow_of(arm.airflow, arm.code)}, fixes {fixes}"


def instrument_line(facts: RunFacts) -> str:
    """`airflow-stress 0.1.0 at 1a2b3c4d5e6f`."""
    return f"airflow-stress {facts.instrument.version} at commit {facts.instrument.commit}"


def harm_value(measure: HarmMeasure, arm: str) -> str:
    """`12.3 tasks/s`; a dash where nothing was measured."""
    value = measure.values.get(arm)
    if value is None:
        return NONE
    return f"{significant(value)} {measure.unit}".rstrip()


def block_count(block: BlockSummary, race: str) -> str:
    """One block's `incidents of opportunities` of a race; a dash where it did not count."""
    count = block.counts.get(race)
    return NONE if count is None else f"{count[0]:,} of {count[1]:,}"


def elided(statement: str) -> str:
    """A statement without its column list and without an inserted row's values."""
    one_line = " ".join(statement.split())
    one_line = re.sub(r"^SELECT (?:DISTINCT )?.*? FROM ", "SELECT ... FROM ", one_line)
    return re.sub(r"^(INSERT INTO \S+) .*?(?= RETURNING |$)", r"\1 ...", one_line)


def cause_counts(counts: Sequence[ArmCount | None]) -> list[tuple[str, tuple[str, ...]]]:
    """Each cause with its count and the denominator on each arm, the most frequent first."""
    totals: dict[str, int] = {}
    for count in counts:
        for cause, number in (count.causes if count else {}).items():
            totals[cause] = totals.get(cause, 0) + number
    return [
        (
            cause,
            tuple(f"{count.causes.get(cause, 0):,} of {count.opportunities:,}" if count else NONE for count in counts),
        )
        for cause in sorted(totals, key=lambda name: (-totals[name], name))
    ]


def ended(results: Results, facts: RunFacts) -> str:
    """Where the run stands, with its length: `done after 8 min 40 s`."""
    if facts.ended_at is None:
        return str(results.state)
    return f"{results.state} after {seconds(facts.ended_at - facts.started_at)}"
