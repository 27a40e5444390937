"""The commands of the process that plays pairs on a release's database: `core/protocol.py` has requests and lines.

`schedulers.py` has the ways to search a pair.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from airflow_stress_explore.airflow.operation import UnknownInternals
from airflow_stress_explore.airflow.pairs import PAIRS, Pair
from airflow_stress_explore.airflow.process import use_database
from airflow_stress_explore.airflow.reproducer import Reproducer
from airflow_stress_explore.airflow.reproducers import REPRODUCERS
from airflow_stress_explore.airflow.schedulers import found_by
from airflow_stress_explore.airflow.testbed import PairTestbed
from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.protocol import (
    Emit,
    Request,
    file_line,
    names_in,
    number_in,
    other_sources_line,
    schedule_line,
    summary_line,
    unknown_line,
)
from airflow_stress_explore.core.schedule import decode
from airflow_stress_explore.core.schedulers import ReplayByName, Scheduler, ScriptedScheduler
from airflow_stress_explore.core.search import Drawn, Record, Worker
from airflow_stress_explore.core.sources import SourceRecorder, differences, fingerprints
from airflow_stress_explore.core.workers import ForkedWorker, InProcessWorker, WorkerFailed
from airflow_stress_explore.sql.actors import ActorThread
from airflow_stress_explore.sql.testbed import Execution
from airflow_stress_explore.sql.witness import Witness

PACKAGES = ("airflow", "airflow_stress_fixes", "airflow_stress_explore.airflow.operations")
"""Whose functions a schedule depends on."""


class Player(InProcessWorker):
    """Plays schedules of one pair after the other, on the database of its process."""

    def __init__(self) -> None:
        super().__init__(self._play_path)
        self.testbed: PairTestbed | None = None

    def prepare(self, pair: str) -> None:
        """Make a pair ready to be played. Raises UnknownInternals."""
        self.make_ready(PAIRS[pair])

    def make_ready(self, pair: Pair) -> PairTestbed:
        """As `prepare`, for a pair that has no name; gives its testbed."""
        import airflow

        if self.testbed is not None:
            self.testbed.close()
            self.testbed = None
        self.testbed = PairTestbed(pair, airflow.__version__)
        self.testbed.play_serially()
        return self.testbed

    def _play_path(self, path: Sequence[str] | Drawn) -> Record:
        assert self.testbed is not None
        return self.testbed.play_path(path)


def explore(request: Request, emit: Emit) -> None:
    """Search some pairs."""
    names = names_in(request, "pairs", PAIRS)
    own = Player()
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(contextlib.closing(ForkedWorker(_on, url))) for url in request["databases"]]
        for name in names:
            for other in others:
                other.prepare(name)
            known = _prepared(own, PAIRS[name], emit)
            for other in others:
                # What this process does not know, the others do not know either.
                with contextlib.nullcontext() if known else contextlib.suppress(WorkerFailed):
                    other.wait_until_prepared()
            if known:
                _search(name, own, others, request, emit)


def _on(url: str) -> Player:
    use_database(url)
    return Player()


def _prepared(player: Player, pair: Pair, emit: Emit) -> bool:
    try:
        player.make_ready(pair)
    except UnknownInternals as unknown:
        operation, _, why = str(unknown).partition(": ")
        emit(unknown_line(operation, why))
        return False
    return True


def _search(name: str, own: Player, others: Sequence[Worker], request: Request, emit: Emit) -> None:
    testbed = own.testbed
    assert testbed is not None
    workers = [own, *others]
    found = found_by(request, workers, testbed)
    failed = 0
    began_s, cpu_began_s = time.monotonic(), time.process_time()
    for tried in found.schedules.run(float(request["budget_s"])):
        if tried.failures:
            failed += 1
            seconds = round(time.monotonic() - began_s, 3)
            emit(
                schedule_line(
                    found.schedules.tried,
                    tried.schedule,
                    tried.failures,
                    responses=tried.record.verdict.responses,
                    seconds=seconds,
                    shortest=found.shortest.of(tried.record).as_json(),
                )
            )
    emit(
        summary_line(
            name,
            found.schedules.tried,
            failed,
            began_s,
            played=found.schedules.played,
            workers=len(workers),
            cpu_seconds=round(time.process_time() - cpu_began_s, 3),
            exhausted=found.schedules.exhausted,
            **found.facts(),
        )
    )
    if request.get("save"):
        for shortest in found.shortest:
            emit(_file_line(name, testbed, shortest.schedule))


def _file_line(pair: str, testbed: PairTestbed, schedule: str) -> dict[str, Any]:
    """Play a schedule once more, and note what it runs."""
    testbed.sources = SourceRecorder(PACKAGES)
    try:
        played = testbed.judge(testbed.play(ReplayByName.of(schedule), Witness(testbed.database).look))
        sources = fingerprints(testbed.sources.names)
    finally:
        testbed.sources = None
    return file_line(pair, schedule, played.failures, played.steps, sources)


def replay(request: Request, emit: Emit) -> None:
    """Play one schedule of one pair some times."""
    choices = decode(str(request["schedule"]))
    player = Player()
    for name in names_in(request, "pairs", PAIRS):
        if not _prepared(player, PAIRS[name], emit):
            continue
        if differ := differences(request.get("sources", {})):
            emit(other_sources_line(name, differ))
            continue
        _play_often(name, player, request, lambda: ReplayByName(choices), lambda played: played.failures, emit)
        if request.get("save"):
            assert player.testbed is not None
            emit(_file_line(name, player.testbed, str(request["schedule"])))


def repro(request: Request, emit: Emit) -> None:
    """Play some reproducers, each some times."""
    player = Player()
    for name in names_in(request, "reproducers", REPRODUCERS):
        reproducer = REPRODUCERS[name]
        # The serial orders show whether this release is what the reproducer knows.
        if _prepared(player, reproducer.pair, emit):
            _reproduce(reproducer, player, request, emit)


def _reproduce(reproducer: Reproducer, player: Player, request: Request, emit: Emit) -> None:
    def its_own(played: Execution) -> Sequence[Failure]:
        wanted = (reproducer.invariant, *reproducer.also)
        return [failure for failure in played.failures if failure.invariant in wanted]

    def missed(scheduler: ScriptedScheduler, played: Execution) -> dict[str, str]:
        return {"missed": scheduler.missed or _missed_outcome(reproducer.set_off_by, played)}

    _play_often(reproducer.name, player, request, lambda: ScriptedScheduler(reproducer.script), its_own, emit, missed)


def _missed_outcome(wanted: str, played: Execution) -> str:
    if any(wanted in (step.outcome or "") for step in played.steps):
        return ""
    return f"no statement ended with {wanted}"


_Scheduler = TypeVar("_Scheduler", bound=Scheduler[ActorThread])


def _play_often(
    name: str,
    player: Player,
    request: Request,
    make_scheduler: Callable[[], _Scheduler],
    failures_of: Callable[[Execution], Sequence[Failure]],
    emit: Emit,
    more_of: Callable[[_Scheduler, Execution], Mapping[str, str]] = lambda *_: {},
) -> None:
    """Play one schedule some times, the first time with its witness; fewer if it fails often enough before that."""
    testbed = player.testbed
    assert testbed is not None
    times, enough = number_in(request, "times", 1), number_in(request, "enough", 0)
    number = failed = 0
    began_s = time.monotonic()
    for number in range(1, times + 1):
        watch = Witness(testbed.database).look if number == 1 else None
        scheduler = make_scheduler()
        played = testbed.judge(testbed.play(scheduler, watch))
        failures = failures_of(played)
        failed += bool(failures)
        rows = played.steps if number == 1 else []
        more = more_of(scheduler, played)
        emit(schedule_line(number, played.schedule, failures, rows, responses=played.responses, **more))
        if 0 < enough <= failed:
            break
    emit(summary_line(name, number, failed, began_s))
