"""A closer look at a schedule than a search can afford: which rows each step has locked, and which it waits for."""

from __future__ import annotations

from airflow_stress_explore.sql.actors import Phase, Step
from airflow_stress_explore.sql.database import Database
from airflow_stress_explore.sql.executor import ScheduleExecutor


class Witness:
    """Watches one schedule."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._before: dict[str, set[str]] = {}
        self._awaited: set[int] = set()

    def look(self, executor: ScheduleExecutor, step: Step) -> None:
        """Note the locks of the actor that took a step, and what blocked actors wait for. Called after each step."""
        tables: set[str] = set()
        for actor in executor.actors:
            tables |= actor.held.locks
        tables &= self._database.schema.tables
        backends = dict(executor.backends)
        held = self._database.row_locks(tables, list(backends))
        for backend, rows in held.items():
            owner = backends[backend]
            if owner.name == step.actor:
                seen = self._before.setdefault(owner.name, set())
                step.locks = [row for row in rows if row not in seen]
                seen.update(rows)
        if step.access.ends:
            self._before.pop(step.actor, None)
        for actor in executor.actors:
            pending = actor.pending
            if actor.phase is Phase.BLOCKED and pending is not None and id(pending) not in self._awaited:
                self._awaited.add(id(pending))
                what = self._database.awaited(actor.backend)
                if what is not None:
                    pending.waited_for = f"{pending.waited_for}: {what}"
