"""What a request asks for: a twin played some times, or a search."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from airflow_stress_explore.engine import Engine, Phase, Policy, Step
from airflow_stress_explore.explore import Player, Search, read, write
from airflow_stress_explore.invariants import Failure, answers
from airflow_stress_explore.pairs import PAIRS, Pair
from airflow_stress_explore.players import Beside, Here, PlayerFailed, Verdict
from airflow_stress_explore.policies import Path, Script
from airflow_stress_explore.session import Outcomes, Session, actor_name, database_of_process, use_database
from airflow_stress_explore.twins import TWINS, Twin
from airflow_stress_explore.world import UnknownInternals

Emit = Callable[[dict[str, Any]], None]
_MOST_STEPS = 120
"""Of a witness, in a line of output."""


def explore(request: dict[str, Any], emit: Emit) -> None:
    """Search some pairs, or replay one schedule of one."""

    def beside(url: str) -> Here:
        use_database(url)
        return Here(_prepare)

    here = Here(_prepare)
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(contextlib.closing(Beside(beside, url))) for url in request["databases"]]
        for name in request["pairs"]:
            _explore_one(name, here, others, request, emit)


def _prepare(pair: str) -> tuple[Session, Sequence[Outcomes]]:
    import airflow

    session = Session(PAIRS[pair], airflow.__version__, database_of_process())
    return session, session.outcomes_one_by_one()


def _explore_one(name: str, here: Here, others: Sequence[Beside], request: dict[str, Any], emit: Emit) -> None:
    for other in others:
        other.prepare(name)
    unknown = None
    try:
        here.prepare(name)
    except UnknownInternals as caught:
        unknown = caught
    for other in others:
        # What this process doesn't know, the others don't know either.
        with contextlib.suppress(PlayerFailed) if unknown is not None else contextlib.nullcontext():
            other.wait_until_prepared()
    if unknown is not None:
        _emit_unknown(unknown, emit)
    elif request["replay"]:
        _replay(here, request, emit)
    else:
        _search(name, [here, *others], request, emit)


def _search(name: str, players: Sequence[Player], request: dict[str, Any], emit: Emit) -> None:
    names = [actor_name(number) for number in range(len(PAIRS[name].operations))]
    search = Search(players, names, request["preemptions"], pruning=request["pruning"])
    failed = 0
    began, cpu_began = time.monotonic(), time.process_time()
    for tried in search.run(request["budget_s"]):
        if tried.record.verdict.failures:
            failed += 1
            emit(_schedule(search.tried, tried.schedule, tried.record.verdict, seconds=time.monotonic() - began))
    emit(
        {
            **_summary(search.tried, failed, began),
            "pruned": search.pruned,
            "played": search.played,
            "surprises": search.foresight.surprises,
            "players": len(players),
            "cpu_seconds": round(time.process_time() - cpu_began, 3),
            "exhausted": search.exhausted,
        }
    )


def _summary(tried: int, failed: int, began: float) -> dict[str, Any]:
    return {"kind": "summary", "tried": tried, "failed": failed, "seconds": round(time.monotonic() - began, 3)}


def _replay(here: Here, request: dict[str, Any], emit: Emit) -> None:
    choices = read(request["replay"])

    def judge(engine: Engine) -> list[Failure]:
        return here.session.judge(engine, here.one_by_one)

    _play_often(here.session, request["times"], lambda: Path(choices), judge, emit)


def repro(request: dict[str, Any], emit: Emit) -> None:
    """Play some twins, each some times."""
    for name in request["twins"]:
        _repro_one(TWINS[name], request["times"], emit)


def _repro_one(twin: Twin, times: int, emit: Emit) -> None:
    import airflow

    try:
        pair = Pair(twin.operations, twin.state, row_steps=twin.row_steps)
        session = Session(pair, airflow.__version__, database_of_process())
        one_by_one = session.outcomes_one_by_one()  # says if this release isn't what the twin knows
    except UnknownInternals as unknown:
        _emit_unknown(unknown, emit)
        return

    def judge(engine: Engine) -> list[Failure]:
        return [failure for failure in session.judge(engine, one_by_one) if failure.invariant == twin.invariant]

    _play_often(session, times, lambda: Script(twin.script), judge, emit)


class _Choosing(Policy, Protocol):
    """A policy that knows what it has chosen."""

    choices: list[str]


def _play_often(
    session: Session,
    times: int,
    make_policy: Callable[[], _Choosing],
    judge: Callable[[Engine], list[Failure]],
    emit: Emit,
) -> None:
    """Play one schedule some times, the first time with its witness."""
    failed = 0
    began = time.monotonic()
    for number in range(1, times + 1):
        policy = make_policy()
        watch = Witness(session).look if number == 1 else None
        engine = session.play(policy, watch)
        verdict = Verdict(judge(engine), answers(engine))
        failed += bool(verdict.failures)
        steps = engine.steps if number == 1 else []
        emit(_schedule(number, write(policy.choices), verdict, steps=steps))
    emit(_summary(times, failed, began))


def _emit_unknown(unknown: UnknownInternals, emit: Emit) -> None:
    operation, _, why = str(unknown).partition(": ")
    emit({"kind": "unknown_operation", "operation": operation, "why": why})


def _schedule(
    number: int, schedule: str, verdict: Verdict, *, steps: Sequence[Step] = (), seconds: float | None = None
) -> dict[str, Any]:
    line: dict[str, Any] = {
        "kind": "schedule",
        "n": number,
        "schedule": schedule,
        "ok": not verdict.failures,
        "failures": [{"invariant": failure.invariant, "detail": failure.detail} for failure in verdict.failures],
        "told": verdict.answers,
        "steps": [_step(step) for step in steps[:_MOST_STEPS]],
    }
    if seconds is not None:
        line["seconds"] = round(seconds, 3)
    return line


def _step(step: Step) -> dict[str, Any]:
    return {
        "actor": step.actor,
        "operation": step.operation,
        "what": " ".join(step.what.split()),
        "locks": step.locks,
        "waited_for": step.waited_for,
        "outcome": step.outcome,
    }


class Witness:
    """Watches a schedule more closely than a search can afford to: which rows each step has locked."""

    def __init__(self, session: Session) -> None:
        self._database = session.database
        self._before: dict[str, set[str]] = {}
        self._awaited: set[int] = set()

    def look(self, engine: Engine, step: Step) -> None:
        tables: set[str] = set()
        for actor in engine.actors:
            tables |= actor.held.locks
        tables &= self._database.schema.tables
        backends = dict(engine.owners.items())
        held = self._database.row_locks(tables, list(backends))
        for backend, rows in held.items():
            owner = backends[backend]
            if owner.name == step.actor:
                seen = self._before.setdefault(owner.name, set())
                step.locks = [row for row in rows if row not in seen]
                seen.update(rows)
        if step.touch.ends:
            self._before.pop(step.actor, None)
        for actor in engine.actors:
            pending = actor.pending
            if actor.phase is Phase.BLOCKED and pending is not None and id(pending) not in self._awaited:
                self._awaited.add(id(pending))
                what = self._database.awaited(actor.backend)
                if what is not None:
                    pending.waited_for = f"{pending.waited_for}: {what}"
