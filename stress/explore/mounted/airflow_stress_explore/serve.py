"""What a request asks for: a twin played some times, or a search."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from airflow_stress_explore import invariants
from airflow_stress_explore.engine import Actor, Engine, Phase, Step
from airflow_stress_explore.explore import Search, Tried, next_by_rule, replay, write
from airflow_stress_explore.invariants import Failure
from airflow_stress_explore.pairs import PAIRS, Pair
from airflow_stress_explore.session import Outcomes, Session, actor_name, database_of_process
from airflow_stress_explore.twins import TWINS, Move
from airflow_stress_explore.world import UnknownInternals

Emit = Callable[[dict[str, Any]], None]
_MOST_STEPS = 120
"""Of a witness, in a line of output."""


def explore(request: dict[str, Any], emit: Emit) -> None:
    """Search a pair, or replay one schedule of it."""
    import airflow

    pair = PAIRS[request["pair"]]
    began = time.monotonic()
    try:
        session = Session(pair, airflow.__version__, database_of_process())
        one_by_one = session.outcomes_one_by_one()
    except UnknownInternals as unknown:
        operation, _, why = str(unknown).partition(": ")
        emit({"kind": "unknown_operation", "operation": operation, "why": why})
        return
    emit({"kind": "prepared", "seconds": time.monotonic() - began})
    if request.get("replay"):
        _replay(session, request, one_by_one, emit)
        return
    names = [actor_name(number) for number in range(len(pair.operations))]
    search = Search(session.play, names, request["preemptions"])
    failed = 0
    began, cpu_began = time.monotonic(), time.process_time()
    for tried in search.run(request["budget_s"]):
        failures = session.judge(tried.engine, one_by_one)
        if failures:
            failed += 1
            emit(_schedule(search.tried, tried, failures, seconds=time.monotonic() - began))
            if request.get("first") and failed >= request["first"]:
                break
    emit(
        {
            "kind": "summary",
            "tried": search.tried,
            "pruned": search.pruned,
            "played": search.played,
            "cpu_seconds": round(time.process_time() - cpu_began, 3),
            "failed": failed,
            "exhausted": search.exhausted,
            "seconds": round(time.monotonic() - began, 3),
        }
    )


def _replay(session: Session, request: dict[str, Any], one_by_one: Sequence[Outcomes], emit: Emit) -> None:
    failed = 0
    began = time.monotonic()
    times = request.get("times", 1)
    for number in range(1, times + 1):
        witness = Witness(session)

        def play(policy: Any, witness: Witness = witness, number: int = number) -> Engine | None:
            return session.play(policy, witness.look if number == 1 else None)

        tried = replay(play, request["replay"])
        failures = session.judge(tried.engine, one_by_one)
        failed += bool(failures)
        emit(_schedule(number, tried, failures, steps=number == 1))
    emit(_summary(times, failed, began))


def _summary(tried: int, failed: int, began: float) -> dict[str, Any]:
    seconds = round(time.monotonic() - began, 3)
    return {"kind": "summary", "tried": tried, "pruned": 0, "failed": failed, "exhausted": True, "seconds": seconds}


def repro(request: dict[str, Any], emit: Emit) -> None:
    """Play a twin some times."""
    import airflow

    twin = TWINS[request["twin"]]
    try:
        session = Session(Pair(twin.operations, twin.state), airflow.__version__, database_of_process())
        session.outcomes_one_by_one()  # says if this release isn't what the twin knows
    except UnknownInternals as unknown:
        operation, _, why = str(unknown).partition(": ")
        emit({"kind": "unknown_operation", "operation": operation, "why": why})
        return
    failed = 0
    began = time.monotonic()
    for number in range(1, request["times"] + 1):
        witness = Witness(session)
        policy = Script(twin.script)
        engine = session.play(policy, witness.look if number == 1 else None)
        assert engine is not None
        failures = [failure for failure in session.judge(engine) if failure.invariant == twin.invariant]
        failed += bool(failures)
        emit(_schedule(number, Tried(write(policy.choices), engine, False), failures, steps=number == 1))
    emit(_summary(request["times"], failed, began))


def _schedule(
    number: int, tried: Tried, failures: Sequence[Failure], *, steps: bool = False, seconds: float | None = None
) -> dict[str, Any]:
    line: dict[str, Any] = {
        "kind": "schedule",
        "n": number,
        "schedule": tried.schedule,
        "ok": not failures,
        "failures": [{"invariant": failure.invariant, "detail": failure.detail} for failure in failures],
        "told": {actor.name: invariants._told(actor.value, actor.error) for actor in tried.engine.actors},
        "steps": [_step(step) for step in tried.engine.steps[:_MOST_STEPS]] if steps else [],
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


class Script:
    """The policy of a twin."""

    def __init__(self, script: Sequence[Move]) -> None:
        self._moves = list(script)
        self.choices: list[str] = []

    def choose(self, engine: Engine, standing: Sequence[Actor], current: Actor | None) -> Actor:  # noqa: ARG002
        by_name = {actor.name: actor for actor in standing}
        while self._moves:
            move = self._moves[0]
            actor = by_name.get(move.actor)
            if actor is not None and not self._reached(move, actor):
                break
            self._moves.pop(0)
        chosen = by_name[self._moves[0].actor] if self._moves else next_by_rule(standing, current)
        self.choices.append(chosen.name)
        return chosen

    def _reached(self, move: Move, actor: Actor) -> bool:
        if move.until in ("end", "blocked") or actor.pending is None:
            return False
        return re.search(move.until, " ".join(actor.pending.what.split()), re.IGNORECASE) is not None
