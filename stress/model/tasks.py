"""Task instances: what is known of each, kept up to date change by change; `task_checks.py` judges the changes.

A row that the feed has not shown from its insert (`UNSEEN`) is not judged until its state is known. From 3.4 on an
attempt that ended stays as an archived row, and the next attempt is inserted by the same transaction: neither is a
transition, nor are the successor's further changes in that transaction.
"""

from __future__ import annotations

from stress.components import role_of
from stress.events import RowChange, TransactionCommitted
from stress.model.answers import Answers, number_of
from stress.model.caps import Caps
from stress.model.rows import Folded, RunRow, Step, TaskRow
from stress.model.rules import TRIGGERER
from stress.model.runs import Runs
from stress.model.states import ABSENT, DEFERRED, FINISHED, NONE, RUNNING, SCHEDULED, SUCCESS, UNSEEN
from stress.model.task_checks import TaskChecks

_UNHAPPY = FINISHED - {SUCCESS}
_TAKEN = frozenset(
    {
        "try_number",
        "hostname",
        "pid",
        "queued_by_job_id",
        "dag_version_id",
        "map_index",
        "region_index",
        "pool",
        "pool_slots",
    }
)
"""The columns that are kept beside the state."""

_SETTLED = FINISHED | {ABSENT, UNSEEN}


class Tasks:
    """The task instances of one block."""

    def __init__(self, runs: Runs, caps: Caps, answers: Answers, checks: TaskChecks) -> None:
        self._runs = runs
        self._caps = caps
        self._answers = answers
        self._checks = checks
        self._rows: dict[str, TaskRow] = {}
        self._folded: dict[int, Folded] = {}
        self._archived: list[tuple[TaskRow, str]] = []
        """Attempts that this transaction archives, each with its state before."""
        self._successors: set[str] = set()
        """Attempts that this transaction inserts in their place."""

    def changed(self, transaction: TransactionCommitted, change: RowChange) -> None:
        """One change of a row of task_instance."""
        if change.op == "update":
            self._updated(transaction, change)
        elif change.op == "insert":
            self._inserted(transaction, change)
        else:
            self._deleted(change.key[0])

    def committed(self) -> None:
        """The transaction is over."""
        if self._archived:
            self._archived.clear()
            self._successors.clear()

    def fold(self, run: RunRow) -> None:
        """Keep of the finished task instances of an ended run no more than a later change can violate."""
        successes = self._answers.successes
        for id_, row in run.rows.items():
            number = number_of(id_)
            acknowledged = row.acknowledged or row.marked or successes.pop(number, None) is not None
            self._folded[number] = run.fold(row.state, acknowledged=acknowledged)
            self._rows.pop(id_, None)
        run.rows.clear()
        run.trail.clear()

    def ended(self) -> None:
        """The block is over: what must have happened by now."""
        for row in self._rows.values():
            if not row.archived:
                self._checks.at_the_end(row)
        for double in self._answers.double_starts:
            self._checks.both_started(double, self._rows.get(double.id))

    def _inserted(self, transaction: TransactionCommitted, change: RowChange) -> None:
        columns = change.columns
        id_ = change.key[0]
        run = self._runs.of(columns.get("dag_id") or "", columns.get("run_id") or "")
        row = self._rows[id_] = TaskRow(id_, run, columns.get("task_id") or "", ABSENT)
        self._take(row, columns)
        row.step(transaction, change)
        state = columns.get("state") or NONE
        if columns.get("working_set", "t") is None:
            row.archived = True
            row.state = state
            return
        run.rows[id_] = row
        if transaction.xid == 0:
            # What it went through before the feed began is not known: it may have started, and been deferred.
            row.parked = True
            row.succeeded = state == SUCCESS
            self._count(transaction, row, state)
            return
        archived = self._archived_for(row)
        if archived is None:
            self._move(transaction, row, state, columns)
            return
        self._successors.add(id_)
        self._count(transaction, row, state)
        self._clear_begins(transaction, change, row, archived)

    def _updated(self, transaction: TransactionCommitted, change: RowChange) -> None:
        id_ = change.key[0]
        columns = change.columns
        row = self._rows.get(id_)
        if row is None:
            row = self._unfold(id_, columns)
        row.step(transaction, change)
        if row.archived:
            if "state" in columns:
                self._checks.archived_changed(transaction, row, columns["state"] or NONE)
                row.state = columns["state"] or NONE
            return
        if "working_set" in columns and columns["working_set"] is None:
            self._archive(transaction, row, columns)
            return
        state = (columns["state"] or NONE) if "state" in columns else row.state
        if "id" in columns:
            before = row.state
            self._next_attempt(transaction, row, columns["id"] or id_, state)
            self._clear_begins(transaction, change, row, before)
        elif state != row.state:
            if id_ in self._successors:
                self._count(transaction, row, state)
                self._clear_begins(transaction, change, row, self._archived_for(row) or state)
            else:
                self._move(transaction, row, state, columns)
        elif state == RUNNING and ("pid" in columns or "hostname" in columns):
            self._checks.started_elsewhere(transaction, row, columns)
        elif state == SCHEDULED and "scheduled_dttm" in columns and role_of(transaction.writer) == TRIGGERER:
            self._checks.resumed_again(transaction, row)
        self._take(row, columns)

    def _move(
        self, transaction: TransactionCommitted, row: TaskRow, state: str, columns: dict[str, str | None]
    ) -> None:
        before = row.state
        exceeded = self._count(transaction, row, state)
        if before != UNSEEN:
            self._checks.moved(transaction, row, before, columns, exceeded)

    def _next_attempt(self, transaction: TransactionCommitted, row: TaskRow, id_: str, state: str) -> None:
        """Until 3.3 the row goes on under another id."""
        before = row.state
        self._checks.attempt_ends(row, transaction.at)
        del self._rows[row.id]
        row.run.rows.pop(row.id, None)
        row.id = id_
        row.begin()
        self._rows[id_] = row.run.rows[id_] = row
        self._count(transaction, row, state)
        if before != UNSEEN:
            self._checks.next_attempt(transaction, row, before)

    def _clear_begins(self, transaction: TransactionCommitted, change: RowChange, row: TaskRow, before: str) -> None:
        """A finished attempt whose successor has no state was cleared."""
        if row.state == NONE and before in FINISHED:
            row.cleared = Step.of(transaction, change)
            self._checks.cleared()

    def _archive(self, transaction: TransactionCommitted, row: TaskRow, columns: dict[str, str | None]) -> None:
        self._archived.append((row, row.state))
        self._checks.attempt_ends(row, transaction.at)
        self._count(transaction, row, ABSENT)
        row.archived = True
        row.state = (columns["state"] or NONE) if "state" in columns else self._archived[-1][1]
        row.run.rows.pop(row.id, None)

    def _archived_for(self, row: TaskRow) -> str | None:
        """The state of the attempt that this transaction archived for this row."""
        for other, state in self._archived:
            # A row of an ended run is kept without its task's name.
            same = not other.task or (other.task, other.map_index) == (row.task, row.map_index)
            if other.run is row.run and same:
                return state
        return None

    def _deleted(self, id_: str) -> None:
        row = self._rows.pop(id_, None)
        if row is not None and not row.archived:
            row.run.rows.pop(id_, None)
            self._count(None, row, ABSENT)
        self._folded.pop(number_of(id_), None)

    def _unfold(self, id_: str, columns: dict[str, str | None]) -> TaskRow:
        """A row that is not kept: of an ended run, or one that the feed has never shown."""
        folded = self._folded.pop(number_of(id_), None)
        if folded is None:
            run = self._runs.of(columns.get("dag_id") or "", columns.get("run_id") or "")
            row = TaskRow(id_, run, columns.get("task_id") or "", UNSEEN)
            row.parked = True
        else:
            run = folded.run
            row = TaskRow(id_, run, "", folded.state)
            row.acknowledged = folded.acknowledged
            row.succeeded = folded.state == SUCCESS
        self._rows[id_] = run.rows[id_] = row
        return row

    def _count(self, transaction: TransactionCommitted | None, row: TaskRow, state: str) -> str:
        """Keep a row's new state; the cap that is exceeded with it, if any."""
        run, before = row.run, row.state
        exceeded = self._caps.task_moved(row, before, state)
        run.unfinished += (state not in _SETTLED) - (before not in _SETTLED)
        run.unhappy += (state in _UNHAPPY) - (before in _UNHAPPY)
        if transaction is not None:
            run.touched_at = transaction.at
        if state == DEFERRED:
            row.deferred = True
        row.state = state
        return exceeded

    def _take(self, row: TaskRow, columns: dict[str, str | None]) -> None:
        """Keep the columns that rules ask for."""
        for name, value in columns.items():
            if name not in _TAKEN:
                continue
            if name == "try_number":
                row.try_number = value or "0"
            elif name == "hostname":
                row.hostname = value
            elif name == "pid":
                row.pid = value
            elif name == "queued_by_job_id":
                row.queued_by = value
            elif name == "dag_version_id":
                self._runs.version_changed(row, value)
            elif name in ("map_index", "region_index"):
                row.map_index = value or "-1"
            elif name in ("pool", "pool_slots"):
                self._caps.pool_of_task_changed(row, name, value)
