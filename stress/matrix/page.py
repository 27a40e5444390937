"""`rc.html`: the comparison as one file without a script, with the listings and the style of a run's report."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from stress.matrix.comparison import Comparison, cost_table
from stress.matrix.markdown import ISSUES, LEGEND
from stress.matrix.status import PRESENT, Status
from stress.report.costs import MEANING
from stress.report.text import printable

_CLASSES = {
    **dict.fromkeys(PRESENT, "remains"),
    Status.ADDRESSED: "removed",
    Status.ABSENT: "",
    Status.NOT_EXERCISED: "unknown",
}
"""Classes of the report's style."""

_VERDICTS = {0: "pass", 1: "fail", 2: "unknown"}


def render(found: Comparison, listings: Mapping[tuple[str, str], str]) -> str:
    """The text of the page. `listings`: what happened, by reproducer and release."""
    return _template().render(
        found=found,
        verdict=_VERDICTS[found.exit_code],
        listings=listings,
        notes=found.notes(),
        costs=cost_table(found),
        cost_meaning=MEANING,
        legend=LEGEND,
        classes=_CLASSES,
        issues=ISSUES,
        css=files("stress.report").joinpath("page.css").read_text(encoding="utf-8"),
    )


@cache
def _template() -> Template:
    # StrictUndefined: an unknown name in the template fails a test instead of leaving a gap in the page.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["printable"] = printable
    return environment.from_string(files("stress.matrix").joinpath("rc.html.jinja").read_text(encoding="utf-8"))
