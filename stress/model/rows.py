"""The rows that the model keeps: as much of each as a rule asks for, and the last changes of each as a witness.

A history of millions of events must fit: rows have slots, rows of ended runs are folded into one shared value for each
state of a run (`Folded`), and a trail is short.
"""

from __future__ import annotations

from typing import NamedTuple

from stress.events import RowChange, TransactionCommitted
from stress.model.states import UNSEEN

TRAIL = 8
"""How many changes of a row are kept."""

AFTERWARDS = 2
"""How many changes after an anomaly belong to its witness."""


class Step(NamedTuple):
    """One change of one row within its transaction."""

    at: float
    xid: int
    writer: str
    change: RowChange

    @classmethod
    def of(cls, transaction: TransactionCommitted, change: RowChange) -> Step:
        """The step of a change."""
        return cls(transaction.at, transaction.xid, transaction.writer, change)


class Row:
    """Any row with a state."""

    __slots__ = ("followers", "state", "trail")

    def __init__(self, state: str) -> None:
        self.state = state
        self.trail: list[tuple[TransactionCommitted, RowChange]] = []
        self.followers: list[list[Step]] | None = None

    def step(self, transaction: TransactionCommitted, change: RowChange) -> None:
        """Remember a change."""
        trail = self.trail
        trail.append((transaction, change))
        if len(trail) > TRAIL:
            del trail[0]
        if self.followers is not None:
            step = Step.of(transaction, change)
            for steps in self.followers:
                steps.append(step)
            self.followers = [steps for steps in self.followers if len(steps) < AFTERWARDS] or None

    def follow(self, steps: list[Step]) -> None:
        """Append the next changes to `steps` as well."""
        self.followers = [*(self.followers or ()), steps]


class RunRow(Row):
    """A run of a DAG with its task instances."""

    __slots__ = (
        "active",
        "backfill",
        "dag",
        "folded",
        "id",
        "marked",
        "rows",
        "run",
        "touched_at",
        "unfinished",
        "unhappy",
    )

    def __init__(self, dag: str, run: str) -> None:
        super().__init__(UNSEEN)
        self.dag = dag
        self.run = run
        self.id = ""
        self.backfill: str | None = None
        self.marked = False
        """A user marked it with its present state, and was answered that this is stored."""
        self.rows: dict[str, TaskRow] = {}
        self.unfinished = 0
        self.active = 0
        """Task instances that are queued or running."""
        self.unhappy = 0
        """Task instances that ended as failed, upstream_failed, skipped or removed."""
        self.touched_at = 0.0
        self.folded: dict[tuple[str, bool], Folded] | None = None

    def fold(self, state: str, *, acknowledged: bool) -> Folded:
        """The shared value of all task instances of this run that ended alike."""
        if self.folded is None:
            self.folded = {}
        key = (state, acknowledged)
        found = self.folded.get(key)
        if found is None:
            found = self.folded[key] = Folded(self, state, acknowledged)
        return found


class Folded(NamedTuple):
    """What is left of a finished task instance of an ended run."""

    run: RunRow
    state: str
    acknowledged: bool


class TaskRow(Row):
    """A task instance: one attempt of it, by its id."""

    __slots__ = (
        "acknowledged",
        "archived",
        "cleared",
        "deferred",
        "hostname",
        "id",
        "map_index",
        "marked",
        "parked",
        "pid",
        "pool",
        "pool_slots",
        "queued_by",
        "run",
        "started_try",
        "succeeded",
        "swept",
        "task",
        "trigger",
        "try_number",
        "version",
    )

    def __init__(self, id: str, run: RunRow, task: str, state: str) -> None:  # noqa: A002 - the column's name
        super().__init__(state)
        self.id = id
        self.run = run
        self.task = task
        self.map_index = "-1"
        self.try_number = "0"
        self.pool = ""
        self.pool_slots = 1
        self.hostname: str | None = None
        self.pid: str | None = None
        self.queued_by: str | None = None
        self.trigger: str | None = None
        self.version: str | None = None
        self.archived = False
        self.marked = False
        self.acknowledged = False
        """A success was acknowledged before this row was unfolded."""
        self.cleared: Step | None = None
        """The clear that began this attempt."""
        self.begin()

    def begin(self) -> None:
        """Forget what belongs to an attempt."""
        self.started_try: str | None = None
        self.parked = False
        """It was deferred or rescheduled since its last start."""
        self.deferred = False
        """It was deferred in this attempt."""
        self.succeeded = False
        self.marked = False
        self.swept = False
        """A scheduler took it back from running to scheduled: the sweep of tasks that are stuck in the queue."""
