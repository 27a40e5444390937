"""The run's test cases, and one for the soak."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from stress.soak.collect import is_reported


def junit(code: int, problems: Sequence[str], run: Path | None) -> str:
    """The file's text. Some case fails unless the exit code is 0."""
    root = ET.Element("testsuites", name="airflow-stress")
    if run is not None and is_reported(run):
        try:
            root = ET.parse(run / "junit.xml").getroot()  # noqa: S314 - our own harness wrote it
        except (OSError, ET.ParseError):
            problems = [*problems, "the run's JUnit file can't be read"]
    passed = code == 0 and not problems
    # A race that remains is a failure already: the soak adds no second one.
    reported = not problems and any(True for kind in ("failure", "error") for _ in root.iter(kind))
    suite = ET.SubElement(root, "testsuite", name="airflow-stress nightly", tests="1", failures="0", skipped="0")
    suite.set("errors", "0" if passed or reported else "1")
    case = ET.SubElement(suite, "testcase", classname="airflow_stress.nightly", name="soak", time="0.000")
    if not passed and not reported:
        message = _printable("; ".join(problems) or f"the soak ended with exit code {code}")
        ET.SubElement(case, "error", message=message, type=f"exit code {code}").text = _printable("\n".join(problems))
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(one.get(name) or 0) for one in root.iter("testsuite"))))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _printable(text: str) -> str:
    """XML can't hold control characters."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
