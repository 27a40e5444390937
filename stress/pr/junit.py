"""`junit.xml` of a comparison: one test case a race, as `stress run` writes it.

`removed` passes; `remains`, `reduced` and `traded` are failures; `unknown` is an error. A race that neither revision
has is an error if it was asked for, and skipped if the diff chose it: the exit code counts it likewise. A load that
failed is another error, and what the head costs under load has a case.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from stress.pr.comment import Load, command, with_bound
from stress.pr.request import CONTROL, UNDER_TEST, Request
from stress.pr.verdict import NOT_SEEN, Judged
from stress.report import junit, text
from stress.results import RaceState, RunState


def render(request: Request, judged: Sequence[Judged], load: Load | None, *, asked: bool, started_at: float) -> str:
    """The text of `junit.xml`. `started_at`: seconds since the epoch."""
    suite = ET.Element("testsuite", name="airflow-stress pr")
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        (CONTROL, request.control.version),
        (UNDER_TEST, request.under_test.version),
        ("reproduce_with", command(request)),
    ):
        ET.SubElement(properties, "property", name=name, value=text.printable(value))
    for each in judged:
        _case(suite, each, asked=asked)
    if load is not None:
        if load.results.state is RunState.FAILED:
            case = ET.SubElement(suite, "testcase", classname="airflow_stress.pr", name="load", time="0.000")
            message = text.printable("; ".join(text.errors_of(load.results)) or "the load failed")
            ET.SubElement(case, "error", message=message, type=str(RunState.FAILED))
        junit.harm(suite, load.results)
    return junit.document(suite, started_at, time.time() - started_at)


def _case(suite: ET.Element, each: Judged, *, asked: bool) -> None:
    loaded_s = 0.0 if each.load is None else sum(count.exposure_s for count in each.load.arms.values())
    case = ET.SubElement(suite, "testcase", classname="airflow_stress.pr", name=each.race, time=f"{loaded_s:.3f}")
    reason = text.printable(each.reason)
    details = text.printable("\n".join(_lines(each)))
    if each.state == NOT_SEEN and not asked:
        ET.SubElement(case, "skipped", message=reason)
    elif each.state in (RaceState.UNKNOWN, NOT_SEEN):
        ET.SubElement(case, "error", message=reason, type=each.state).text = details
    elif each.state != RaceState.REMOVED:
        ET.SubElement(case, "failure", message=reason, type=each.state).text = details
    ET.SubElement(case, "system-out").text = f"{reason}\n{details}"


def _lines(each: Judged) -> list[str]:
    """One line a reproducer, and one for the load, before and after."""
    after = {outcome.reproducer: outcome for outcome in each.under_test}
    lines = [
        f"{outcome.reproducer}: before {outcome}, after {with_bound(after.get(outcome.reproducer))}"
        for outcome in each.control
    ]
    if each.load is not None:
        before, then = (text.out_of(each.load.arms.get(arm)) for arm in (CONTROL, UNDER_TEST))
        lines.append(f"under load, of {each.load.unit}: before {before}, after {then}")
    return lines
