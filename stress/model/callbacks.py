"""Callbacks of deadlines and triggers: their states, one trigger a callback, one living owner a trigger.

A trigger may get another owner only when the job of its owner has ended or is silent for longer than the threshold
(`Trigger.assign_unassigned`, `Trigger.get_sorted_triggers`; callbacks' triggers lack that condition up to 3.3, which is
the second cause of `duplicate_callback`). A triggerer that is paused or ended makes its job silent: then no change of
owner is an anomaly.
"""

from __future__ import annotations

from stress.components import role_of
from stress.events import RowChange, TransactionCommitted
from stress.model.anomalies import Anomaly, CheckerName, Findings, Known
from stress.model.answers import Answers
from stress.model.rows import Row
from stress.model.rules import Line, Table
from stress.model.run_rules import CALLBACK_RULES, DEADLINE_RULES
from stress.model.states import ABSENT, NONE, UNSEEN


class _StatedRow(Row):
    """A callback, or a deadline of 3.1, with its trigger."""

    __slots__ = ("trigger",)

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.trigger: str | None = None


_SILENT_S = 10.0
"""A job that was silent for longer may count as dead: no configured threshold is shorter."""


class _Job:
    __slots__ = ("ended", "heartbeat")

    def __init__(self) -> None:
        self.ended = False
        self.heartbeat = 0.0
        """When its last heartbeat was committed."""


class Callbacks:
    """The callbacks, deadlines, triggers and jobs of one block."""

    def __init__(self, line: Line, answers: Answers, findings: Findings) -> None:
        self._answers = answers
        self._findings = findings
        self._tables = {"callback": Table(CALLBACK_RULES, line), "deadline": Table(DEADLINE_RULES, line)}
        self._columns = {"callback": "state", "deadline": "callback_state"}
        self._rows: dict[tuple[str, str], _StatedRow] = {}
        self._triggers: dict[str, Row] = {}
        self._of_callbacks: set[str] = set()
        self._jobs: dict[str, _Job] = {}

    def changed(self, transaction: TransactionCommitted, change: RowChange) -> None:
        """One change of a row of callback or deadline."""
        table, columns = change.table, change.columns
        key = (table, change.key[0])
        if change.op == "delete":
            self._rows.pop(key, None)
            return
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _StatedRow(ABSENT if change.op == "insert" else UNSEEN)
        row.step(transaction, change)
        column = self._columns[table]
        state = (columns[column] or NONE) if column in columns else (NONE if row.state == ABSENT else row.state)
        before, row.state = row.state, state
        if before not in (state, UNSEEN) and transaction.xid != 0:
            self._moved(transaction, row, table, change.key[0], before)
        if "trigger_id" in columns:
            self._trigger_changed(transaction, row, table, change.key[0], columns["trigger_id"])

    def trigger_changed(self, transaction: TransactionCommitted, change: RowChange) -> None:
        """One change of a row of trigger; its state is its owner."""
        key, columns = change.key[0], change.columns
        if change.op == "delete":
            self._triggers.pop(key, None)
            self._of_callbacks.discard(key)
            return
        row = self._triggers.get(key)
        if row is None:
            row = self._triggers[key] = Row("" if change.op == "insert" else UNSEEN)
        row.step(transaction, change)
        if "triggerer_id" not in columns:
            return
        owner = columns["triggerer_id"] or ""
        before, row.state = row.state, owner
        self._findings.transitions["trigger"] += 1
        self._findings.opportunities[CheckerName.DOUBLE_START] += 1
        job = self._jobs.get(before)
        if before in ("", UNSEEN, owner) or not owner or job is None or job.ended:
            return
        if transaction.at - job.heartbeat > _SILENT_S:
            return
        if not self._answers.disturbed(transaction.at):
            callback = key in self._of_callbacks
            what = f"the {'callback ' if callback else ''}trigger {key} went from the living job {before} to {owner}"
            self._report(
                CheckerName.DOUBLE_START, transaction, row, what, Known.DUPLICATE_CALLBACK if callback else None
            )

    def job_changed(self, transaction: TransactionCommitted, change: RowChange) -> None:
        """One change of a row of job."""
        job = self._jobs.setdefault(change.key[0], _Job())
        if change.op == "delete" or change.columns.get("end_date") or change.columns.get("state") in _ENDED:
            job.ended = True
        if "latest_heartbeat" in change.columns:
            job.heartbeat = transaction.at

    def _moved(self, transaction: TransactionCommitted, row: Row, table: str, key: str, before: str) -> None:
        self._findings.transitions[table] += 1
        if self._tables[table].allows_freely((before, row.state), role_of(transaction.writer)):
            return
        what = f"{table} {key}: {before} -> {row.state}, by {transaction.writer or 'an unknown writer'}"
        explained = Known.DUPLICATE_CALLBACK if before in _STARTED and role_of(transaction.writer) in _RUNNERS else None
        self._report(CheckerName.ILLEGAL_TRANSITION, transaction, row, what, explained)

    def _trigger_changed(
        self, transaction: TransactionCommitted, row: _StatedRow, table: str, key: str, trigger: str | None
    ) -> None:
        before, row.trigger = row.trigger, trigger
        if trigger is None:
            return
        self._of_callbacks.add(trigger)
        self._findings.opportunities[CheckerName.DUPLICATE_ROW] += 1
        if before is not None and before != trigger:
            what = f"{table} {key} has a second trigger: {before}, then {trigger}"
            self._report(CheckerName.DUPLICATE_ROW, transaction, row, what, Known.DUPLICATE_CALLBACK)

    def _report(
        self, checker: CheckerName, transaction: TransactionCommitted, row: Row, what: str, explained_by: Known | None
    ) -> None:
        anomaly = Anomaly(checker, transaction.at, transaction.xid, transaction.writer, what, explained_by)
        self._findings.report(anomaly, row)


_ENDED = frozenset({"success", "failed"})
_STARTED = frozenset({"queued", "running", "success", "failed"})
_RUNNERS = frozenset({"", "triggerer", "scheduler"})
