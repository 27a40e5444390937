"""junit.xml: the structure that CI systems read, green only for a pass."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from stress.report import junit
from stress.results import Results, RunState
from tests.unit.reported import FACTS, RACES, REMAINS, UNKNOWN, example, hostile


def parsed(xml: str) -> ET.Element:
    """The root of a document that has the structure of the schema which Jenkins and GitLab share."""
    root = ET.fromstring(xml)
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite"
        assert {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"} <= set(suite.attrib)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        assert [child.tag for child in suite] == ["properties"] + ["testcase"] * (len(suite) - 1)
        assert all(set(child.attrib) == {"name", "value"} for child in suite[0])
        for case in suite.iter("testcase"):
            assert set(case.attrib) == {"classname", "name", "time"}
            float(case.attrib["time"])
            assert {child.tag for child in case} <= {"failure", "error", "system-out"}
            assert all(set(child.attrib) == {"message", "type"} for child in case if child.tag != "system-out")
        for tag, attribute in (("testcase", "tests"), ("failure", "failures"), ("error", "errors")):
            assert len(list(suite.iter(tag))) == int(suite.attrib[attribute])
    return root


@pytest.mark.parametrize(
    ("results", "failures", "errors"),
    [(example(), 0, 0), (REMAINS, 1, 0), (UNKNOWN, 0, 1), (example(state=RunState.INTERRUPTED), 0, 1)],
    ids=["removed", "remains", "unknown", "interrupted"],
)
def test_junit_is_green_only_for_a_pass(results: Results, failures: int, errors: int) -> None:
    suite = parsed(junit.render(results, FACTS))[0]
    assert (int(suite.attrib["failures"]), int(suite.attrib["errors"])) == (failures, errors)


def test_junit_has_a_case_a_race_with_its_reason() -> None:
    suite = parsed(junit.render(REMAINS, FACTS))[0]
    assert [case.attrib["name"] for case in suite.iter("testcase")] == list(RACES)
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("remains: 73 of ")


def test_junit_survives_control_characters() -> None:
    parsed(junit.render(hostile(), FACTS))
