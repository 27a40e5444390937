"""Reports of tasks' ends by their workers: which came together, and which were answered as stored and are not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from stress import events
from stress.checkers.view import BlockView


def first_reports(reports: Iterable[events.ReportAnswered]) -> list[events.ReportAnswered]:
    """The first request of each try, in the order in which they were made: a request made again is no other report."""
    first: dict[tuple[str, int], events.ReportAnswered] = {}
    for report in sorted(reports, key=lambda report: report.sent_at):
        first.setdefault((report.id, report.try_number), report)
    return list(first.values())


def coincidences(
    reports: Iterable[events.ReportAnswered], group: Callable[[events.ReportAnswered], object], within_s: float
) -> int:
    """How many reports were made at most `within_s` after the one before of their group."""
    groups: dict[object, list[float]] = defaultdict(list)
    for report in first_reports(reports):
        groups[group(report)].append(report.sent_at)
    return sum(later - earlier <= within_s for times in groups.values() for earlier, later in pairwise(times))


def acknowledged(view: BlockView) -> Iterator[events.ReportAnswered]:
    """Reports of success that were answered as stored (2xx)."""
    return (
        event for _, event in view.all(events.ReportAnswered) if event.state == "success" and 200 <= event.code < 300
    )


def stored_otherwise(view: BlockView) -> list[tuple[events.ReportAnswered, events.UnfinishedTask]]:
    """Reports of success that were answered as stored, each with the row of another state at the end of the block."""
    counted = view.last(events.FiniteTasksCounted)
    rows = {task.id: task for task in counted.unfinished} if counted is not None else {}
    return [(report, rows[report.id]) for report in acknowledged(view) if report.id in rows]


def uncounted(view: BlockView) -> tuple[str, ...]:
    """Why the states at the end of the block are not known, if it is over and they were not counted."""
    ended = view.last(events.BlockEnded)
    if ended is None or view.last(events.FiniteTasksCounted) is not None:
        return ()
    return (f"block {view.block}: the tasks were not counted at its end",)
