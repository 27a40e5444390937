"""What the model finds: anomalies, each of one checker, and how often each checker looked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum, auto

from stress.model.rows import Row, Step

WITNESSES = 1000
"""How many anomalies of one checker are kept with their witness; the others are counted."""


class CheckerName(StrEnum):
    """The checkers, and what each compares."""

    ILLEGAL_TRANSITION = auto()
    """A row went from one state to another as no function of the release does."""

    LOST_ACKNOWLEDGED_WRITE = auto()
    """A state that was answered as stored is not stored, or was overwritten without a request."""

    DOUBLE_START = auto()
    """One try of a task instance, or one trigger, was started twice."""

    CAP_EXCEEDED = auto()
    """A run or a task instance was started above `max_active_runs`, `max_active_tasks` or the slots of its pool."""

    LOST_CLEAR = auto()
    """A clear was stored, and its run ended without the task."""

    STALE_EVENT = auto()
    """The event of a trigger resumed a task instance that was not deferred any more."""

    STALE_SUCCESS = auto()
    """A scheduler failed a resumed task instance for the end of the worker that had deferred it."""

    DUPLICATE_ROW = auto()
    """What must be there once is there twice: a run of a key, a callback's trigger."""

    STALE_VERSION = auto()
    """A refresh of a run's DAG version left out an unfinished task instance."""


class Known(StrEnum):
    """The races that can explain an anomaly, by their names in the registry of races.

    A name that the registry lacks explains nothing there (`stress/judge/anomalies.py`).
    """

    DUPLICATE_CALLBACK = auto()
    EXCEEDED_RUN_LIMIT = auto()
    FAIL_FAST = auto()
    FALSE_FAILED = auto()
    LOST_CLEAR = auto()
    LOST_MARK = auto()
    STALE_SUCCESS = auto()
    STALE_TRIGGER_EVENT = auto()
    STUCK_SWEEP = auto()


UNITS = {
    CheckerName.ILLEGAL_TRANSITION: "transitions",
    CheckerName.LOST_ACKNOWLEDGED_WRITE: "acknowledged states",
    CheckerName.DOUBLE_START: "starts of tries and triggers",
    CheckerName.CAP_EXCEEDED: "starts under a cap",
    CheckerName.LOST_CLEAR: "clears",
    CheckerName.STALE_EVENT: "resumptions",
    CheckerName.STALE_SUCCESS: "starts after a deferral",
    CheckerName.DUPLICATE_ROW: "rows that must be unique",
    CheckerName.STALE_VERSION: "task instances of refreshed runs",
}
"""What an opportunity of each checker is called."""


@dataclass
class Anomaly:
    """One anomaly. `at` is the commit's time, `xid` its transaction, `rows` what it is about.

    `explained_by` is the known race that the evidence names, None where there is none. `also` are checkers that the
    same change violates as well. `before` are the changes of the rows up to the anomaly's own, `afterwards` the next.
    """

    checker: CheckerName
    at: float
    xid: int
    writer: str
    what: str
    explained_by: Known | None = None
    also: tuple[CheckerName, ...] = ()
    before: tuple[Step, ...] = ()
    afterwards: list[Step] = field(default_factory=list)

    @property
    def steps(self) -> list[Step]:
        """The interleaving: every change of the rows around the anomaly, in the order of the commits."""
        seen = {(step.xid, id(step.change)): step for step in (*self.before, *self.afterwards)}
        return sorted(seen.values(), key=lambda step: step.at)


class Findings:
    """What was found so far, and how often each checker could have found something."""

    def __init__(self) -> None:
        self.anomalies: list[Anomaly] = []
        self.found: Counter[CheckerName] = Counter()
        self.explained: Counter[tuple[CheckerName, Known]] = Counter()
        """By the checker and the race that explains it."""
        self.opportunities: Counter[CheckerName] = Counter()
        self.transitions: Counter[str] = Counter()
        """By table."""
        self.blind: list[str] = []

    def report(self, anomaly: Anomaly, *rows: Row) -> None:
        """Count an anomaly, and keep it with its witness while there are few."""
        self.found[anomaly.checker] += 1
        if anomaly.explained_by is not None:
            self.explained[anomaly.checker, anomaly.explained_by] += 1
        if self.found[anomaly.checker] > WITNESSES:
            return
        anomaly.before = tuple(Step.of(*each) for row in rows for each in row.trail)
        for row in rows:
            row.follow(anomaly.afterwards)
        self.anomalies.append(anomaly)
