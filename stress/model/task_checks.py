"""The checks of one change of a task instance.

What a change can violate is asked in this order, and the first that it does violate names the checker:

1. `stale_event`, `stale_success`: a function that acted on what was not there any more, seen by its traces
2. a cap, for a transition that the rules allow
3. `lost_acknowledged_write`, if a rule could have made the transition, but none did, and the state that went away had
   been answered as stored
4. `illegal_transition`
"""

from __future__ import annotations

from stress.components import role_of
from stress.events import DoubleStart, TransactionCommitted
from stress.model.anomalies import Anomaly, CheckerName, Findings, Known
from stress.model.answers import SLACK_S, Answers, number_of
from stress.model.caps import Caps
from stress.model.rows import RunRow, TaskRow
from stress.model.rules import API, MARKS, SCHEDULER, TRIGGERER, UNKNOWN_ROLE, Line, Need, Rule, Table
from stress.model.states import (
    FAILED,
    FINISHED,
    NONE,
    PARKED,
    QUEUED,
    RUN_FINISHED,
    RUNNING,
    SCHEDULED,
    SKIPPED,
    SUCCESS,
    UP_FOR_RETRY,
)
from stress.model.task_rules import RULES

_UNSUCCESSFUL = (FINISHED | {NONE, UP_FOR_RETRY, QUEUED, SCHEDULED}) - {SUCCESS}
"""What contradicts a success; a deferral does not, since the success can be that of the resumed task."""

_NEAR_S = 2.0
"""A fail_fast DAG stops the siblings of a failed task in the same request, which commits several times."""


class TaskChecks:
    """Judges the changes of task instances in one block."""

    def __init__(self, line: Line, caps: Caps, answers: Answers, findings: Findings) -> None:
        self._caps = caps
        self._answers = answers
        self._findings = findings
        self._table = Table(RULES, line)
        self._attempts = Table(RULES, line, new_attempt=True)
        self._started_twice: set[str] = set()

    def moved(
        self,
        transaction: TransactionCommitted,
        row: TaskRow,
        before: str,
        columns: dict[str, str | None],
        exceeded: str,
    ) -> None:
        """A row moved from `before` to its present state. `exceeded`: the cap that it exceeds now."""
        after = row.state
        counts = self._findings.opportunities
        self._findings.transitions["task_instance"] += 1
        role = role_of(transaction.writer)
        allowed = self._table.allows_freely((before, after), role)
        if not allowed:
            allowed = self._allowed(transaction, row, before, after, role, columns)
        twice = before == QUEUED and after == RUNNING and row.started_try == row.try_number and not row.parked
        if twice:
            what = f"try {row.try_number} started a second time, though it was neither deferred nor rescheduled"
            known = Known.STUCK_SWEEP if row.swept and role == API else None
            what = f"{before} -> running: {what}, {_by(transaction)}"
            self._report(CheckerName.DOUBLE_START, transaction, row, what, known)
        elif before == RUNNING and after in _UNSUCCESSFUL and self._unstored(row, transaction.at):
            self._report_unstored(transaction, row, role)
        elif row.deferred and before in (SCHEDULED, QUEUED, RUNNING) and after in (FAILED, UP_FOR_RETRY):
            self._after_deferral(transaction, row, before, role, allowed=allowed)
        elif exceeded and (allowed or (before, after) in self._table.free):
            self._report(CheckerName.CAP_EXCEEDED, transaction, row, f"{exceeded}, {_by(transaction)}")
        elif not allowed:
            # The sweep takes a task that started meanwhile back to scheduled, and away from its scheduler.
            row.swept = after == SCHEDULED and role == SCHEDULER and columns.get("queued_by_job_id", "") is None
            self._report_forbidden(transaction, row, before, role)
        if after == RUNNING:
            self._started(row)
        elif after in PARKED:
            row.parked = True
        elif after == SUCCESS:
            row.succeeded = True
            if before == RUNNING:
                counts[CheckerName.LOST_ACKNOWLEDGED_WRITE] += number_of(row.id) in self._answers.successes
        elif after == QUEUED:
            counts[CheckerName.CAP_EXCEEDED] += 1
        elif after == SCHEDULED and before not in (NONE, UP_FOR_RETRY):
            counts[CheckerName.STALE_EVENT] += 1

    def next_attempt(self, transaction: TransactionCommitted, row: TaskRow, before: str) -> None:
        """A row went on as another attempt, with its present state."""
        after = row.state
        self._findings.transitions["task_instance"] += 1
        role = role_of(transaction.writer)
        pair = (before, after)
        if before == after or self._attempts.allows_freely(pair, role):
            return
        if any(self._holds(rule, transaction, row, after, {}) for rule in self._attempts.conditional(pair, role)):
            return
        self._report(
            CheckerName.ILLEGAL_TRANSITION, transaction, row, f"{before} -> {after} with a new id, {_by(transaction)}"
        )

    def archived_changed(self, transaction: TransactionCommitted, row: TaskRow, after: str) -> None:
        """An archived attempt keeps its state."""
        self._findings.transitions["task_instance"] += 1
        if after != row.state:
            what = f"the archived attempt changed: {row.state} -> {after}, {_by(transaction)}"
            self._report(CheckerName.ILLEGAL_TRANSITION, transaction, row, what)

    def started_elsewhere(
        self, transaction: TransactionCommitted, row: TaskRow, columns: dict[str, str | None]
    ) -> None:
        """A running task instance has another worker now."""
        hostname, pid = columns.get("hostname", row.hostname), columns.get("pid", row.pid)
        if (hostname, pid) != (row.hostname, row.pid) and row.pid is not None:
            what = f"running as {row.hostname} process {row.pid}, and then as {hostname} process {pid}"
            self._report(CheckerName.DOUBLE_START, transaction, row, what)

    def resumed_again(self, transaction: TransactionCommitted, row: TaskRow) -> None:
        """A triggerer scheduled a task instance that was scheduled already: it had timed out, say."""
        self._report(
            CheckerName.STALE_EVENT,
            transaction,
            row,
            f"resumed by an event while it was {row.state} already, {_by(transaction)}",
            Known.STALE_TRIGGER_EVENT,
        )

    def attempt_ends(self, row: TaskRow, at: float) -> None:
        """An attempt is over."""
        if row.state == RUNNING and self._unstored(row, at):
            self._lost_report(row, at)

    def at_the_end(self, row: TaskRow) -> None:
        """The block is over."""
        if row.state == RUNNING and self._unstored(row, float("inf")):
            self._lost_report(row, row.trail[-1][0].at if row.trail else 0.0)
        if row.cleared is not None and row.state == NONE and row.run.state in RUN_FINISHED:
            clear = row.cleared
            anomaly = Anomaly(
                CheckerName.LOST_CLEAR,
                clear.at,
                clear.xid,
                clear.writer,
                f"{_name(row)} was cleared, the run has ended as {row.run.state}, and the task has no state",
                Known.LOST_CLEAR,
            )
            self._findings.report(anomaly, row, row.run)

    def both_started(self, double: DoubleStart, row: TaskRow | None) -> None:
        """Two workers were answered that they may start, unless the feed has shown it already."""
        if double.id in self._started_twice:
            return
        what = (
            f"task instance {double.id}, try {double.try_number}: {double.first.hostname} process {double.first.pid} "
            f"and {double.second.hostname} process {double.second.pid} were both answered that they may start it"
        )
        anomaly = Anomaly(CheckerName.DOUBLE_START, double.second.at, 0, "", what)
        self._findings.report(anomaly, *(() if row is None else (row, row.run)))

    def cleared(self) -> None:
        """A clear was stored."""
        self._findings.opportunities[CheckerName.LOST_CLEAR] += 1

    def _started(self, row: TaskRow) -> None:
        counts = self._findings.opportunities
        counts[CheckerName.DOUBLE_START] += 1
        counts[CheckerName.STALE_SUCCESS] += row.deferred
        row.started_try = row.try_number
        row.parked = False

    def _after_deferral(
        self, transaction: TransactionCommitted, row: TaskRow, before: str, role: str, *, allowed: bool
    ) -> None:
        """A task instance that was deferred in this attempt ended badly.

        A scheduler fails what its executor says has ended, if it looks queued or running (`process_executor_events`).
        After a deferral the end can be that of the worker that deferred. A worker that was refused its start or its
        report ends the same way, and is no anomaly; nor is a worker that reports its failure itself, so the writer of
        the failure of a running one must be known. Without the answers to workers nothing is concluded.
        """
        by_scheduler = role == SCHEDULER or (role == UNKNOWN_ROLE and before != RUNNING)
        if (
            allowed
            and by_scheduler
            and not self._user(transaction, row, row.state)
            and self._answers.workers_seen
            and number_of(row.id) not in self._answers.refused
            and not self._answers.disturbed(transaction.at)
        ):
            what = f"{before} -> {row.state} after a deferral, without a report of its worker"
            self._report(CheckerName.STALE_SUCCESS, transaction, row, what, Known.STALE_SUCCESS)
        elif not allowed:
            self._report_forbidden(transaction, row, before, role)

    def _allowed(
        self,
        transaction: TransactionCommitted,
        row: TaskRow,
        before: str,
        after: str,
        role: str,
        columns: dict[str, str | None],
    ) -> bool:
        """Whether a rule with a condition allows it."""
        for rule in self._table.conditional((before, after), role):
            if self._holds(rule, transaction, row, after, columns):
                if rule.need in MARKS:
                    row.marked = self._answers.granted(row.run.dag, row.run.run, transaction.at)
                return True
        return False

    def _holds(
        self,
        rule: Rule,
        transaction: TransactionCommitted,
        row: TaskRow,
        after: str,
        columns: dict[str, str | None],
    ) -> bool:
        run = row.run
        match rule.need:
            case Need.KNOWN_WRITER:
                return role_of(transaction.writer) == rule.role
            case Need.RUN_ENDED:
                return run.state in RUN_FINISHED
            case Need.SIBLING_ENDED_BADLY:
                return run.unhappy > (after in FINISHED)
            case Need.REQUEUED:
                return "queued_by_job_id" in columns and columns["queued_by_job_id"] is None
            case _:
                return asked_for(rule.need, self._answers, run, transaction.at, after)

    def _user(self, transaction: TransactionCommitted, row: TaskRow, after: str) -> bool:
        """Whether a mark of a user can have made this state."""
        run, at = row.run, transaction.at
        return any(asked_for(need, self._answers, run, at, after) for need in (Need.MARK_TASK, Need.MARK_RUN))

    def _unstored(self, row: TaskRow, at: float) -> bool:
        """Whether the worker of this running attempt was answered that its success is stored."""
        answered = self._answers.successes.get(number_of(row.id))
        return answered is not None and 0.0 < answered[0] - SLACK_S <= at and not row.succeeded

    def _report_unstored(self, transaction: TransactionCommitted, row: TaskRow, role: str) -> None:
        by_request = role in (API, UNKNOWN_ROLE) and transaction.at <= self._answered_at(row) + SLACK_S
        self._report(
            CheckerName.LOST_ACKNOWLEDGED_WRITE,
            transaction,
            row,
            f"its success was answered as stored, and {row.state} is stored, {_by(transaction)}",
            Known.FALSE_FAILED if by_request and row.state == FAILED else None,
        )

    def _lost_report(self, row: TaskRow, at: float) -> None:
        anomaly = Anomaly(
            CheckerName.LOST_ACKNOWLEDGED_WRITE,
            at,
            0,
            "",
            f"{_name(row)}: its success was answered as stored, and was never stored",
        )
        self._findings.report(anomaly, row, row.run)

    def _answered_at(self, row: TaskRow) -> float:
        return self._answers.successes.get(number_of(row.id), (0.0, 0.0))[1]

    def _report_forbidden(self, transaction: TransactionCommitted, row: TaskRow, before: str, role: str) -> None:
        """No rule made this transition: which promise it breaks."""
        after, run, at = row.state, row.run, transaction.at
        what = f"{before} -> {after}, {_by(transaction)}"
        acknowledged = self._is_acknowledged(row, before)
        if after == SCHEDULED and row.deferred and role in (TRIGGERER, UNKNOWN_ROLE):
            self._report(CheckerName.STALE_EVENT, transaction, row, what, Known.STALE_TRIGGER_EVENT)
        elif acknowledged and (before, after) in self._table.rules:
            explained: Known | None = None
            if role in (API, UNKNOWN_ROLE) and asked_for(Need.MARK_RUN_ANY, self._answers, run, at, after):
                explained = Known.LOST_MARK
            elif role == API and after in (FAILED, SKIPPED) and self._caps.fails_fast(run.dag):
                explained = Known.FAIL_FAST if _sibling_failed(run, row, at) else None
            self._report(CheckerName.LOST_ACKNOWLEDGED_WRITE, transaction, row, what, explained)
        else:
            also = (CheckerName.LOST_ACKNOWLEDGED_WRITE,) if acknowledged else ()
            swept = Known.STUCK_SWEEP if row.swept and after == SCHEDULED else None
            self._report(CheckerName.ILLEGAL_TRANSITION, transaction, row, what, swept, also)

    def _is_acknowledged(self, row: TaskRow, before: str) -> bool:
        if row.acknowledged or row.marked:
            return True
        number = number_of(row.id)
        return (before == SUCCESS and number in self._answers.successes) or (
            before == FAILED and number in self._answers.failures
        )

    def _report(
        self,
        checker: CheckerName,
        transaction: TransactionCommitted,
        row: TaskRow,
        what: str,
        explained_by: Known | None = None,
        also: tuple[CheckerName, ...] = (),
    ) -> None:
        if checker is CheckerName.DOUBLE_START:
            self._started_twice.add(row.id)
        text = f"{_name(row)}: {what}"
        anomaly = Anomaly(checker, transaction.at, transaction.xid, transaction.writer, text, explained_by, also)
        self._findings.report(anomaly, row, row.run)


def asked_for(need: Need, answers: Answers, run: RunRow, at: float, after: str) -> bool:
    """Whether a request of a user explains a change at this moment."""
    for request in answers.requests(run.dag, run.run, at):
        kind = request.request
        if need is Need.MARK_TASK and kind == "mark_task" and request.state == after:
            return True
        if need is Need.MARK_RUN and kind == "mark_run" and request.state == after:
            return True
        if need is Need.MARK_RUN_ANY and kind == "mark_run":
            return True
        if need is Need.CLEAR and kind in ("clear_task", "mark_task"):
            return True
    return False


def _sibling_failed(run: RunRow, row: TaskRow, at: float) -> bool:
    """Whether another task instance of the run failed just before."""
    return any(
        other is not row and other.state == FAILED and other.trail and 0.0 <= at - other.trail[-1][0].at <= _NEAR_S
        for other in run.rows.values()
    )


def _name(row: TaskRow) -> str:
    mapped = f"[{row.map_index}]" if row.map_index != "-1" else ""
    return f"{row.run.dag}.{row.task or row.id}{mapped} (run {row.run.run}, try {row.try_number})"


def _by(transaction: TransactionCommitted) -> str:
    return f"by {transaction.writer or 'an unknown writer'}"
