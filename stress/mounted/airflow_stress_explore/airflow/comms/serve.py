"""The commands of the process that plays pairs of the comms: `core/protocol.py` has requests and lines."""

from __future__ import annotations

import importlib
import platform
import time
from collections.abc import Callable, Sequence

from airflow_stress_explore.aio.pruning import search
from airflow_stress_explore.airflow.comms.operations import UnknownOperation, maker_of
from airflow_stress_explore.airflow.comms.pairs import PAIRS, REPRODUCERS, CommsPair, CommsReproducer
from airflow_stress_explore.airflow.comms.supervisor import RUNNER
from airflow_stress_explore.airflow.comms.surroundings import runs_prepared
from airflow_stress_explore.airflow.comms.testbed import CommsTestbed
from airflow_stress_explore.airflow.comms.witness import CommsRecorder
from airflow_stress_explore.core.choice_search import Found, Progress
from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.protocol import (
    BadRequest,
    Emit,
    Request,
    names_in,
    number_in,
    schedule_line,
    summary_line,
    unknown_line,
)
from airflow_stress_explore.core.schedule import BadSchedule, decode_positions, encode_positions
from airflow_stress_explore.core.schedule_table import Row
from airflow_stress_explore.core.schedulers import NamedOptions, Option, ReplayByPosition, Scheduler

PROGRESS_EVERY_S = 2.0
_WITNESSES = 1
"""Failing schedules of a search that are sent with their steps."""

_Maker = Callable[[Scheduler[Option]], CommsTestbed]


def explore(request: Request, emit: Emit) -> None:
    """Search some pairs."""
    preemptions = number_in(request, "preemptions", 2)
    if not request.get("pruning", True):
        raise BadRequest("a search of the comms always prunes")
    for name in names_in(request, "pairs", PAIRS):
        maker = _known_maker(PAIRS[name], emit)
        if maker is not None:
            _search(name, maker, preemptions, float(request["budget_s"]), emit)


def _search(name: str, maker: _Maker, preemptions: int, budget_s: float, emit: Emit) -> None:
    began_s = shown_s = time.monotonic()

    def tick(progress: Progress) -> None:
        nonlocal shown_s
        if time.monotonic() - shown_s >= PROGRESS_EVERY_S:
            shown_s = time.monotonic()
            emit({"kind": "progress", "pair": name, **vars(progress)})

    with runs_prepared():
        whole = search(lambda scheduler: maker(scheduler).run(), preemptions, budget_s, tick=tick)
        for found in whole:
            emit(_found_line(found, maker, witnessed=whole.progress.failed <= _WITNESSES))
    progress = whole.progress
    emit(
        summary_line(
            name,
            progress.tried,
            progress.failed,
            began_s,
            pruned=progress.pruned,
            exhausted=progress.exhausted,
            **_what_ran(),
        )
    )


def _found_line(found: Found, maker: _Maker, *, witnessed: bool) -> dict[str, object]:
    rows: Sequence[Row] = _witnessed(maker(ReplayByPosition(found.choices)))[1] if witnessed else ()
    return schedule_line(found.number, found.schedule, found.failures, rows)


def replay(request: Request, emit: Emit) -> None:
    """Play one schedule of one pair, or of a reproducer's, some times."""
    pairs = {**PAIRS, **{name: reproducer.pair for name, reproducer in REPRODUCERS.items()}}
    prefix = decode_positions(str(request["schedule"]))
    for name in names_in(request, "pairs", pairs):
        _play_often(name, pairs[name], lambda: ReplayByPosition(prefix), request, emit)


def repro(request: Request, emit: Emit) -> None:
    """Play some reproducers, each some times."""
    for name in names_in(request, "reproducers", REPRODUCERS):
        reproducer = REPRODUCERS[name]
        try:
            _play_often(name, reproducer.pair, lambda it=reproducer: scheduler_of(it), request, emit)  # type: ignore[misc]
        except BadSchedule as bad:  # a release whose runner takes other steps; the other reproducers are still played
            emit(unknown_line(name, str(bad)))


def scheduler_of(reproducer: CommsReproducer) -> ReplayByPosition:
    """The scheduler that makes a race occur, once."""
    if reproducer.schedule:
        return ReplayByPosition.of(reproducer.schedule)
    return NamedOptions(names=reproducer.events)


def _play_often(
    name: str, pair: CommsPair, make_scheduler: Callable[[], ReplayByPosition], request: Request, emit: Emit
) -> None:
    """Play one schedule as often as the request says; fewer if it fails often enough before that."""
    times, enough = number_in(request, "times", 1), number_in(request, "enough", 0)
    maker = _known_maker(pair, emit)
    if maker is None:
        return
    began_s = time.monotonic()
    number = failed = 0
    with runs_prepared():
        for number in range(1, times + 1):
            scheduler = make_scheduler()
            failures, rows = _witnessed(maker(scheduler))
            if scheduler.unused:
                raise BadSchedule("this schedule is of another pair or release: the run ended before it did")
            missed = scheduler.missed if isinstance(scheduler, NamedOptions) else ""
            emit(schedule_line(number, encode_positions(scheduler.choices), failures, rows, missed=missed))
            failed += bool(failures)
            if 0 < enough <= failed:
                break
    emit(summary_line(name, number, failed, began_s, pruned=0, exhausted=True, **_what_ran()))


def _witnessed(testbed: CommsTestbed) -> tuple[list[Failure], list[Row]]:
    """Run a testbed with a recorder."""
    testbed.observer = recorder = CommsRecorder()
    failures = testbed.run()
    recorder.finish()
    return failures, recorder.rows


def _known_maker(pair: CommsPair, emit: Emit) -> _Maker | None:
    try:
        return maker_of(pair)
    except UnknownOperation as unknown:
        emit(unknown_line(pair.name, str(unknown)))
        return None


def _what_ran() -> dict[str, str]:
    """Which comms were explored: a fix replaces them."""
    comms = importlib.import_module(RUNNER).TriggerCommsDecoder
    release = importlib.import_module("airflow").__version__
    return {
        "release": release,
        "python": platform.python_version(),
        "comms": f"{comms.__module__}.{comms.__qualname__}",
    }
