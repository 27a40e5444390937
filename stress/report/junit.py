"""`junit.xml`: one test case per race, in the form that CI systems read (Jenkins' and GitLab's common subset).

`removed` passes; `remains` and `reduced` are failures; `unknown` is an error, because a skipped test looks green and an
unknown race must not. A run that failed or was cut short has one more case, an error with the reason; without a block
it is the only one. Harm has its own case, a failure if a measure is worse.
"""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from stress.report import text
from stress.results import RaceState, RaceVerdict, Results, RunFacts, RunState, Verdict


def render(results: Results, facts: RunFacts) -> str:
    """The text of `junit.xml`."""
    suite = ET.Element("testsuite", name="airflow-stress")
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(results, facts):
        ET.SubElement(properties, "property", name=name, value=text.printable(value))
    _run(suite, results)
    for race, verdict in results.races.items() if results.blocks else ():
        _case(suite, race, verdict)
    harm(suite, results)
    return document(suite, facts.started_at, 0.0 if facts.ended_at is None else facts.ended_at - facts.started_at)


def document(suite: ET.Element, started_at: float, took_s: float) -> str:
    """The text of a file with one suite; its cases are counted here. `started_at`: seconds since the epoch."""
    tally = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    root = ET.Element("testsuites", name="airflow-stress")
    root.append(suite)
    for element in (root, suite):
        for name, number in tally.items():
            element.set(name, str(number))
        element.set("time", f"{took_s:.3f}")
    suite.set("timestamp", datetime.fromtimestamp(started_at, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _run(suite: ET.Element, results: Results) -> None:
    """An error for a run that failed or was cut short, with the reason, before the races that it leaves undecided."""
    errors = text.errors_of(results)
    ended_early = results.state in (RunState.FAILED, RunState.INTERRUPTED)
    not_a_pass = results.verdict is not Verdict.PASS
    all_removed = all(verdict.verdict is RaceState.REMOVED for verdict in results.races.values())
    if not (ended_early or errors or (not_a_pass and all_removed) or not results.blocks):
        return
    case = ET.SubElement(suite, "testcase", classname="airflow_stress.run", name="run", time="0.000")
    message = text.printable(errors[0].strip() if errors else text.headline(results))
    error = ET.SubElement(case, "error", message=message.partition("\n")[0], type=str(results.state))
    error.text = text.printable("\n".join(errors or results.notes) or message)


def harm(suite: ET.Element, results: Results) -> None:
    """One case for what the arm under test costs, where it was measured."""
    if not results.harm:
        return
    case = ET.SubElement(suite, "testcase", classname="airflow_stress.run", name="harm", time="0.000")
    lines = {
        measure.measure: f"{measure.measure}: {measure.verdict}, "
        + ", ".join(f"{arm.name} {text.harm_value(measure, arm.name)}" for arm in results.arms)
        + f", p {text.p_or_none(measure.p_value)}"
        + (f": {measure.reason}" if measure.reason else "")
        for measure in results.harm
    }
    worse = [measure.measure for measure in results.harm if measure.verdict == "worse"]
    details = text.printable("\n".join(lines.values()))
    if worse:
        message = text.printable("; ".join(lines[measure] for measure in worse))
        ET.SubElement(case, "failure", message=message, type="harm").text = details
    ET.SubElement(case, "system-out").text = details


def _case(suite: ET.Element, race: str, verdict: RaceVerdict) -> None:
    loaded_s = sum(count.exposure_s for count in verdict.arms.values())
    case = ET.SubElement(
        suite, "testcase", classname=f"airflow_stress.{verdict.under_test}", name=race, time=f"{loaded_s:.3f}"
    )
    reason = text.printable(verdict.reason)
    if verdict.verdict is RaceState.UNKNOWN:
        ET.SubElement(case, "error", message=reason, type=str(verdict.verdict)).text = _details(verdict)
    elif verdict.verdict is not RaceState.REMOVED:
        ET.SubElement(case, "failure", message=reason, type=str(verdict.verdict)).text = _details(verdict)
    ET.SubElement(case, "system-out").text = f"{reason}\n{_details(verdict)}"


def _details(verdict: RaceVerdict) -> str:
    """One line per arm, with its causes."""
    return "\n".join(
        text.printable(
            f"{arm}: {text.out_of(count)}" + "".join(f"; {cause}: {n:,}" for cause, n in count.causes.items())
        )
        for arm, count in verdict.arms.items()
    )


def _properties(results: Results, facts: RunFacts) -> list[tuple[str, str]]:
    return [
        ("run_id", results.run_id),
        ("seed", str(results.seed)),
        ("state", str(results.state)),
        ("verdict", str(results.verdict)),
        ("airflow_stress", text.instrument_line(facts)),
        ("reproduce_with", facts.command),
        *((f"arm.{arm.name}", text.arm_line(arm, facts.instrument.fixes)) for arm in results.arms),
        *(("blind", sentence) for sentence in results.blind),
    ]
