"""`junit.xml`: one test case per race, in the form that CI systems read (Jenkins' and GitLab's common subset).

`removed` passes; `remains` and `reduced` are failures; `unknown` is an error, since a skipped test looks green and a
race of which nobody knows anything must not. A run that is no pass although each race was removed (it was
interrupted) gets one more case, an error, for the same reason.
"""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from stress.report import text
from stress.results import RaceState, RaceVerdict, Results, RunFacts, Verdict


def render(results: Results, facts: RunFacts) -> str:
    """The text of `junit.xml`."""
    suite = ET.Element("testsuite", name="airflow-stress")
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(results, facts):
        ET.SubElement(properties, "property", name=name, value=text.printable(value))
    for race, verdict in results.races.items():
        _case(suite, race, verdict)
    not_a_pass = results.verdict is not Verdict.PASS
    if not_a_pass and all(verdict.verdict is RaceState.REMOVED for verdict in results.races.values()):
        case = ET.SubElement(suite, "testcase", classname="airflow_stress.run", name="run", time="0.000")
        ET.SubElement(case, "error", message=text.headline(results), type=str(results.verdict))

    tally = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": 0,
    }
    took_s = 0.0 if facts.ended_at is None else facts.ended_at - facts.started_at
    root = ET.Element("testsuites", name="airflow-stress")
    root.append(suite)
    for element in (root, suite):
        for name, number in tally.items():
            element.set(name, str(number))
        element.set("time", f"{took_s:.3f}")
    suite.set("timestamp", datetime.fromtimestamp(facts.started_at, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


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
        ("command", facts.command),
        *(
            (f"arm.{arm.name}", f"airflow {arm.airflow}, fixes {', '.join(arm.fixes) or 'none'}")
            for arm in results.arms
        ),
        *(("blind", sentence) for sentence in results.blind),
    ]
