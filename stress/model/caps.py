"""Caps: what Airflow promises not to exceed when it starts a run or a task instance.

- `max_active_runs`: `_start_queued_dagruns` starts a queued run only below the cap of its DAG, or of its backfill,
  which is counted by itself. Runs of users count like all others: nothing else makes a run `running`.
- `max_active_tasks`: `_executable_task_instances_to_queued` queues a task instance only while fewer of its run are
  queued or running (Airflow 3 counts by run, not by DAG).
- the slots of a pool: the same function, under a lock on the pools; deferred ones count if the pool says so.

A cap is judged only at the change that starts something. What is above a cap otherwise is no anomaly: a user can lower
a cap or shrink a pool below what runs, and what runs keeps running. A scheduler may have read a cap just before it
changed, so the largest cap that a DAG had in the block counts. -1 slots are no cap, nor are 0 active runs.
"""

from __future__ import annotations

from stress.events import RowChange
from stress.model.rows import RunRow, TaskRow
from stress.model.states import DEFERRED, EXECUTING, RUNNING


class _Pool:
    __slots__ = ("deferred", "executing", "include_deferred", "slots")

    def __init__(self) -> None:
        self.slots: int | None = None
        self.include_deferred = False
        self.executing = 0
        self.deferred = 0


class _Dag:
    __slots__ = ("fail_fast", "max_active_runs", "max_active_tasks")

    def __init__(self) -> None:
        self.max_active_runs = 0
        self.max_active_tasks = 0
        self.fail_fast = False


class Caps:
    """What is in use, and what the caps are."""

    def __init__(self) -> None:
        self._dags: dict[str, _Dag] = {}
        self._pools: dict[str, _Pool] = {}
        self._pool_names: dict[str, str] = {}
        self._runs: dict[tuple[str, str | None], int] = {}
        self._backfills: dict[str, int] = {}

    def dag_changed(self, change: RowChange) -> None:
        """A row of dag."""
        dag = self._dags.setdefault(change.key[0], _Dag())
        columns = change.columns
        dag.max_active_runs = max(dag.max_active_runs, int(columns.get("max_active_runs") or 0))
        dag.max_active_tasks = max(dag.max_active_tasks, int(columns.get("max_active_tasks") or 0))
        if "fail_fast" in columns:
            dag.fail_fast = columns["fail_fast"] == "t"

    def fails_fast(self, dag: str) -> bool:
        """Whether the first failure of a run of this DAG stops the others."""
        found = self._dags.get(dag)
        return found is not None and found.fail_fast

    def pool_changed(self, change: RowChange) -> None:
        """A row of slot_pool."""
        key = change.key[0]
        columns = change.columns
        name = columns.get("pool") or self._pool_names.get(key, "")
        self._pool_names[key] = name
        pool = self._pool(name)
        if change.op == "delete":
            pool.slots = None
        if columns.get("slots") is not None:
            pool.slots = int(columns["slots"] or 0)
        if "include_deferred" in columns:
            pool.include_deferred = columns["include_deferred"] == "t"

    def backfill_changed(self, change: RowChange) -> None:
        """A row of backfill."""
        limit = change.columns.get("max_active_runs")
        if limit is not None:
            self._backfills[change.key[0]] = int(limit)

    def run_moved(self, run: RunRow, before: str, after: str) -> str:
        """Count a run's change of state; the cap that it exceeds, if any."""
        key = (run.dag, run.backfill)
        if before == RUNNING:
            self._runs[key] = self._runs.get(key, 0) - 1
        if after != RUNNING:
            return ""
        active = self._runs[key] = self._runs.get(key, 0) + 1
        if run.backfill is not None:
            limit = self._backfills.get(run.backfill, 0)
        else:
            dag = self._dags.get(run.dag)
            limit = dag.max_active_runs if dag is not None else 0
        if 0 < limit < active:
            return f"{active} runs of {run.dag} are running, max_active_runs is {limit}"
        return ""

    def task_moved(self, row: TaskRow, before: str, after: str) -> str:
        """Count a task instance's change of state; the cap that it exceeds, if any."""
        was, runs = before in EXECUTING, after in EXECUTING
        if was != runs:
            row.run.active += 1 if runs else -1
        if was != runs or DEFERRED in (before, after):
            self._occupy(row, before, -1)
            self._occupy(row, after, 1)
        if not runs or was:
            return ""
        dag = self._dags.get(row.run.dag)
        if dag is not None and 0 < dag.max_active_tasks < row.run.active:
            return (
                f"{row.run.active} task instances of the run {row.run.run} are queued or running, max_active_tasks of "
                f"{row.run.dag} is {dag.max_active_tasks}"
            )
        pool = self._pool(row.pool)
        used = pool.executing + (pool.deferred if pool.include_deferred else 0)
        if pool.slots is not None and 0 <= pool.slots < used:
            return f"{used} slots of the pool {row.pool} are in use, it has {pool.slots}"
        return ""

    def pool_of_task_changed(self, row: TaskRow, name: str, value: str | None) -> None:
        """A task instance has another pool or number of slots. What it occupies moves to the new pool."""
        self._occupy(row, row.state, -1)
        if name == "pool":
            row.pool = value or ""
        else:
            row.pool_slots = int(value or 1)
        self._occupy(row, row.state, 1)

    def _occupy(self, row: TaskRow, state: str, sign: int) -> None:
        if state in EXECUTING:
            self._pool(row.pool).executing += sign * row.pool_slots
        elif state == DEFERRED:
            self._pool(row.pool).deferred += sign * row.pool_slots

    def _pool(self, name: str) -> _Pool:
        found = self._pools.get(name)
        if found is None:
            found = self._pools[name] = _Pool()
        return found
