"""The exit code of a soak, and everything that is wrong with it beyond its run's own verdict."""

from __future__ import annotations

import json
import signal
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from stress.exits import EXIT_FAILED
from stress.soak.collect import Harness, is_reported, state_of
from stress.soak.state import Soak

STRESS_CODES = (0, 1, 2, 3, 64, 130, 143)
"""The exit codes of `stress run`. With any other the harness did not end by itself."""
_SIGKILL_CODE = 128 + signal.SIGKILL


def assess(soak: Soak, harness: Harness, run: Path | None) -> tuple[int, list[str]]:
    """The exit code and the problems. The code is 0 only if there are none."""
    problems = list(soak.reasons)
    code = harness.code
    if code is None:
        number = signal.Signals[soak.signals[0]] if soak.signals else None
        ended = "" if soak.compose_code is None else f": docker compose ended with exit code {soak.compose_code}"
        known = "the harness never started" if run is None else "the exit code of the harness is unknown"
        problems.append(f"{known}{ended}")
        code = 128 + number if number in (signal.SIGINT, signal.SIGTERM) else EXIT_FAILED
    elif code not in STRESS_CODES:
        why = " (killed)" if code == _SIGKILL_CODE else ""
        if harness.out_of_memory:
            why = " (the kernel killed it: out of memory)"
        problems.append(f"the harness died with exit code {code}{why}")
        code = EXIT_FAILED
    if run is None:
        problems.append("no run was recorded")
    elif not is_reported(run):
        problems.append("the stored history could not be judged (judge.log says why)")
    elif code == 0:
        problems.extend(f"the run ended with exit code 0, but {doubt}" for doubt in _doubts(soak, run))
    return (EXIT_FAILED if code == 0 and problems else code), problems


def _doubts(soak: Soak, run: Path) -> Iterator[str]:
    """What contradicts exit code 0: it means that each race was seen on the control arm, and removed."""
    if soak.compose_code not in (0, None):
        yield f"docker compose with {soak.compose_code}"
    if state_of(run) != "done":
        yield f"its state is {state_of(run)}"
    try:
        results = json.loads((run / "results.json").read_text())
        if results["verdict"] != "pass" or not results["races"]:
            yield f"its verdict is {results['verdict']}"
        for race, verdict in results["races"].items():
            if verdict["verdict"] != "removed":
                yield f"the verdict of {race} is {verdict['verdict']}"
            elif not verdict["arms"][verdict["control"]]["incidents"]:
                yield f"the control arm never showed {race}"
        for measure in results["harm"]:
            if measure["verdict"] == "worse":
                yield f"{measure['measure']} is worse under test"
        if results["errors"]:
            yield f"it reports an error: {results['errors'][0]}"
        root = ET.parse(run / "junit.xml").getroot()  # noqa: S314 - our own harness wrote it
        if any(True for kind in ("failure", "error") for _ in root.iter(kind)):
            yield "its JUnit file holds failures"
    except (OSError, ValueError, KeyError, TypeError, ET.ParseError) as error:
        yield f"its reports can't be read: {type(error).__name__}: {error}"
