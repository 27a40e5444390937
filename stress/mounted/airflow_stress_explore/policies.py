"""Who goes on: the ways in which an actor is chosen at each step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from airflow_stress_explore.engine import Actor, Engine, Phase
from airflow_stress_explore.explore import Record, Seen, next_by_rule
from airflow_stress_explore.foresight import Statement, ended, waited
from airflow_stress_explore.twins import Move


class InOrder:
    """The policy: one actor after the other."""

    def __init__(self, order: Sequence[str]) -> None:
        self._order = order

    def choose(self, engine: Engine, standing: Sequence[Actor], current: Actor | None) -> Actor:  # noqa: ARG002
        return min(standing, key=lambda actor: self._order.index(actor.name))


class Path:
    """The policy: given choices, then the rule; keeps what it sees on the way."""

    def __init__(self, choices: Sequence[str]) -> None:
        self._wanted = choices
        self.choices: list[str] = []
        self.diverged = False
        self._seen: list[Seen] = []
        self._errors = 0

    def choose(self, engine: Engine, standing: Sequence[Actor], current: Actor | None) -> Actor:
        by_name = {actor.name: actor for actor in standing}
        self._seen.append(self._look(engine))
        chosen = next_by_rule(by_name, current.name if current is not None else None)
        if len(self.choices) < len(self._wanted):
            wanted = self._wanted[len(self.choices)]
            self.diverged |= wanted not in by_name
            chosen = wanted if wanted in by_name else chosen
        self.choices.append(chosen)
        return by_name[chosen]

    def record(self, engine: Engine, verdict: Any) -> Record:
        """All of it, once the engine has run."""
        return Record(self.choices, [*self._seen, self._look(engine)], self.diverged, verdict)

    def _look(self, engine: Engine) -> Seen:
        besides = [ended(error.actor, error.sqlstate, error.touch) for error in engine.errors[self._errors :]]
        self._errors = len(engine.errors)
        if engine.steps and engine.steps[-1].waited_for is not None:
            step = engine.steps[-1]
            besides.insert(0, waited(step.actor, (step.what, step.touch)))
        return Seen(_statements(engine, Phase.STANDS), _statements(engine, Phase.BLOCKED), tuple(besides))


def _statements(engine: Engine, phase: Phase) -> dict[str, Statement]:
    return {
        actor.name: (actor.pending.what, actor.pending.touch)
        for actor in engine.actors
        if actor.phase is phase and actor.pending is not None
    }


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
        turn = current.name if current is not None else None
        chosen = self._moves[0].actor if self._moves else next_by_rule(by_name, turn)
        self.choices.append(chosen)
        return by_name[chosen]

    def _reached(self, move: Move, actor: Actor) -> bool:
        if move.until in ("end", "blocked") or actor.pending is None:
            return False
        return re.search(move.until, " ".join(actor.pending.what.split()), re.IGNORECASE) is not None
