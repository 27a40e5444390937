"""`stress matrix`: each race on each release, by the race's reproducers.

Exit codes: 0 every cell was answered, 2 one was not (not exercised, or failed), 3 the machine, 64 bad arguments.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stress.arms.releases import Release
from stress.cache import CacheLocked, exclusive
from stress.exits import EXIT_FAILED, EXIT_UNKNOWN
from stress.explore.options import progress
from stress.layout import seen_outside
from stress.matrix import asked
from stress.matrix.asked import Faults, Refused
from stress.matrix.cells import ANSWERED, Cell
from stress.matrix.comparison import columns, tried
from stress.matrix.fill import Cells, fill, reproducers_of
from stress.matrix.store import Parameters, Store, made_by

DOCUMENT = "matrix.json"
LOCK = ".lock"


def matrix(airflow: str, names: Sequence[str], times: str, out: str | None, *, as_json: bool) -> int:
    """Fill the cells of some races and releases, and print them. The exit code."""
    try:
        releases, parameters, store = _check(airflow, names, times, out)
    except Refused as refused:
        return refused.tell()
    try:
        with exclusive(store.directory / LOCK, f"fill {store.directory}", 0.0, progress):
            store.open(parameters)
            cells = fill(store, releases, parameters.races, parameters.times, progress)
            found = _document(parameters, cells)
            store.write(DOCUMENT, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    except (OSError, CacheLocked) as error:
        print(f"stress: {error}", file=sys.stderr)
        return EXIT_FAILED
    print(json.dumps(found, indent=2, ensure_ascii=False) if as_json else _text(parameters, cells, store.directory))
    return 0 if all(cell.state in ANSWERED for cell in cells.values()) else EXIT_UNKNOWN


def _check(airflow: str, names: Sequence[str], times: str, out: str | None) -> tuple[list[Release], Parameters, Store]:
    faults = Faults()
    versions = asked.split(airflow)
    if not versions:
        faults.mistakes.append("--airflow '': name one or more releases, such as 3.2.1,3.3.2")
    found = [asked.release(version, "--airflow", faults) for version in versions]
    races = asked.races(names, faults)
    number = asked.times(times, faults)
    releases = sorted((each for each in found if each is not None), key=lambda release: release.number)
    parameters = Parameters("matrix", tuple(each.version for each in releases), races, number, stress=made_by())
    store = Store(asked.directory(out, "matrix"))
    faults.mistakes += store.mistakes(None if faults.mistakes else parameters)
    if not faults.mistakes:  # this may take a minute
        asked.resolve(releases, faults)
    faults.end()
    return releases, parameters, store


def _document(parameters: Parameters, cells: Cells) -> dict[str, Any]:
    return {
        "releases": list(parameters.releases),
        "races": list(parameters.races),
        "times": parameters.times,
        "airflow_stress": parameters.stress,
        "cells": [
            {
                "race": cell.race,
                "release": cell.release,
                "state": str(cell.state),
                "reproducers": {each.name: tried(each) for each in cell.tried},
            }
            for cell in cells.values()
        ],
    }


def _text(parameters: Parameters, cells: Cells, directory: Path) -> str:
    """A line a race, and below it a line for each reproducer if there are several; then why cells are empty."""
    rows = [("race", *parameters.releases)]
    for race in parameters.races:
        line = [cells[race, release] for release in parameters.releases]
        names = [each.name for each in reproducers_of(race)]
        if len(names) == 1:
            rows.append((race, *(str(cell.tried[0]) for cell in line)))
            continue
        rows.append((race, *(str(cell.state) for cell in line)))
        rows += [(f"  {name}", *(_of(name, cell) for cell in line)) for name in names]
    return "\n".join([columns(rows), "", *_reasons(cells), f"listings: {seen_outside(directory / 'cells')}"])


def _of(name: str, cell: Cell) -> str:
    return str(next(each for each in cell.tried if each.name == name))


def _reasons(cells: Cells) -> list[str]:
    """Why reproducers were not exercised or failed; one reason of several once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for cell in cells.values():
        for each in cell.tried:
            if each.reason:
                reasons.setdefault((cell.release, f"{each.state}: {each.reason}"), []).append(each.name)
    return [f"{', '.join(names)} on {release}: {reason}" for (release, reason), names in reasons.items()]
