"""`stress repro RACE --pytest FILE`: a race's reproducers as a test that needs only Airflow, PostgreSQL and pytest.

The test carries the schedule player with it, compressed: what forces the interleaving there is what forced it here, and
the verdict is by the same invariants. Above it stand, to be read, the witness of each reproducer and its schedule.
"""

from __future__ import annotations

import base64
import io
import tarfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from stress import instrument
from stress.explore.catalogue import Engine, Race
from stress.explore.table import table
from stress.layout import MOUNTED

VARIABLE = "RACE_DATABASE"
"""The test's variable with the address of a PostgreSQL server."""

_PACKAGE = "airflow_stress_explore"
_WIDTH = 110


@dataclass(frozen=True)
class Exported:
    """One reproducer: what it is, in how many plays the race occurred, and how its first play went."""

    name: str
    summary: str
    result: str
    module: str
    schedule: str
    listing: tuple[str, ...]


def exported(reproducer: Race, result: str, plays: Sequence[Mapping[str, Any]]) -> Exported:
    """A reproducer of the test, from the lines of its plays."""
    return Exported(
        name=reproducer.name,
        summary=reproducer.summary,
        result=result,
        module=reproducer.engine.value,
        schedule=plays[0]["schedule"],
        listing=tuple(line.rstrip() for line in table(plays[0]).splitlines()),
    )


def render(sections: Sequence[Exported], airflow: str, command: str, name: str) -> str:
    """The test's source. `airflow`: the release that was played; `name`: the file's name."""
    environment = Environment(
        autoescape=False,  # noqa: S701 - Python, not HTML
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    template = environment.from_string(files("stress.explore").joinpath("exported_test.py.jinja").read_text("utf-8"))
    return template.render(
        title=f"{', '.join(each.name for each in sections)}: the race must not occur.",
        variable=VARIABLE,
        name=name,
        needs_database=any(each.module == Engine.SQL.value for each in sections),
        version=f"airflow-stress {instrument.version()}",
        airflow=airflow,
        command=command,
        sections=sections,
        runtime="\n".join(textwrap.wrap(_runtime(), _WIDTH)),
    )


def _runtime() -> str:
    """The player's package as a tar archive, the same for the same sources: no times, no owners."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:xz") as archive:
        for path in sorted((MOUNTED / _PACKAGE).rglob("*.py")):
            member = tarfile.TarInfo(str(Path(_PACKAGE, path.relative_to(MOUNTED / _PACKAGE))))
            member.size = path.stat().st_size
            with path.open("rb") as source:
                archive.addfile(member, source)
    return base64.b85encode(content.getvalue()).decode()
