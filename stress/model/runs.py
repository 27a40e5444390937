"""Runs of DAGs: their transitions, their cap, their uniqueness, and the version that a refresh gives their tasks.

A run is unique by (dag_id, run_id), and by (dag_id, logical_date) where it has a logical date.

The refresh of a run's version is one statement over its unfinished task instances
(`SchedulerJobRunner._verify_integrity_if_dag_changed`). Up to 3.3 its condition leaves out those without a state, which
is what that code does and no race; from 3.4 on it has them. One that was unfinished before the refresh and has another
version after it was left out, and no later refresh takes it in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from stress.components import role_of
from stress.events import RowChange, TransactionCommitted
from stress.model.anomalies import Anomaly, CheckerName, Findings, Known
from stress.model.answers import Answers
from stress.model.caps import Caps
from stress.model.rows import RunRow, TaskRow
from stress.model.rules import SCHEDULER, UNKNOWN_ROLE, Line, Table
from stress.model.run_rules import RUN_RULES
from stress.model.states import ABSENT, FINISHED, NONE, RUN_FINISHED, RUNNING, UNSEEN
from stress.model.task_checks import asked_for

FOLD_AFTER_S = 30.0
"""How long an ended run is kept whole: late reports and clears come within seconds."""

TOGETHER_S = 5.0
"""Two schedulers that start runs of one DAG within this time can have counted before the other committed."""

_COVERS_NONE = (3, 4)
"""The first release line whose refresh has task instances without a state. (3.1's loop has them, too.)"""


class Runs:
    """The runs of one block."""

    def __init__(self, line: Line, caps: Caps, answers: Answers, findings: Findings) -> None:
        self._caps = caps
        self._answers = answers
        self._findings = findings
        self._table = Table(RUN_RULES, line)
        self._covers_none = line >= _COVERS_NONE
        self._by_name: dict[tuple[str, str], RunRow] = {}
        self._by_id: dict[str, RunRow] = {}
        self._dates: dict[tuple[str, str], RunRow] = {}
        self._starters: dict[str, dict[str, float]] = {}
        """By DAG: when each writer last started a run of it."""
        self.ended: deque[tuple[float, RunRow]] = deque()
        self.refreshed: dict[RunRow, tuple[str, set[str]]] = {}
        """Runs whose task instances this transaction gives a version: it, and which have it now."""

    def of(self, dag: str, run: str) -> RunRow:
        """A run by its name; made if it was not seen."""
        found = self._by_name.get((dag, run))
        if found is None:
            found = self._by_name[dag, run] = RunRow(dag, run)
        return found

    def changed(self, transaction: TransactionCommitted, change: RowChange) -> None:
        """One change of a row of dag_run."""
        id_ = change.key[0]
        columns = change.columns
        if change.op == "insert":
            run = self._inserted(transaction, change)
            before = ABSENT
        else:
            found = self._by_id.get(id_)
            if found is None:
                found = self._by_id[id_] = self.of(columns.get("dag_id") or "", columns.get("run_id") or f"id {id_}")
            run, before = found, found.state
            run.step(transaction, change)
            if change.op == "delete":
                self._deleted(run)
                return
        run.touched_at = transaction.at
        state = columns.get("state") or before
        if state != before:
            run.state = state
            exceeded = self._caps.run_moved(run, before, state)
            if before != UNSEEN and transaction.xid != 0:
                self._moved(transaction, run, before, exceeded)
            if state in RUN_FINISHED:
                self.ended.append((transaction.at, run))

    def _inserted(self, transaction: TransactionCommitted, change: RowChange) -> RunRow:
        columns = change.columns
        dag, name = columns.get("dag_id") or "", columns.get("run_id") or ""
        self._findings.opportunities[CheckerName.DUPLICATE_ROW] += 1
        run = self._by_name.get((dag, name))
        twice = run is not None and run.id != "" and run.state != ABSENT
        if run is None or twice:
            # A second run of a name is counted by itself, and the name stays with the first.
            run = RunRow(dag, name)
            self._by_name.setdefault((dag, name), run)
        run.id = change.key[0]
        run.backfill = columns.get("backfill_id")
        self._by_id[run.id] = run
        run.step(transaction, change)
        date = columns.get("logical_date")
        other = self._dates.setdefault((dag, date), run) if date is not None else run
        if twice or (other is not run and other.state != ABSENT):
            key = f"run_id {name}" if twice else f"logical_date {date}"
            self._report(CheckerName.DUPLICATE_ROW, transaction, run, f"a second run of {key}")
        return run

    def _deleted(self, run: RunRow) -> None:
        self._caps.run_moved(run, run.state, ABSENT)
        run.state = ABSENT
        self._by_id.pop(run.id, None)

    def _moved(self, transaction: TransactionCommitted, run: RunRow, before: str, exceeded: str) -> None:
        after, at = run.state, transaction.at
        self._findings.transitions["dag_run"] += 1
        self._findings.opportunities[CheckerName.CAP_EXCEEDED] += after == RUNNING
        starters = self._starters.setdefault(run.dag, {}) if after == RUNNING else {}
        if after == RUNNING:
            starters[transaction.writer] = at
        if exceeded:
            others = (when for writer, when in starters.items() if writer != transaction.writer)
            together = role_of(transaction.writer) == SCHEDULER and any(at - when <= TOGETHER_S for when in others)
            known = Known.EXCEEDED_RUN_LIMIT if together else None
            self._report(
                CheckerName.CAP_EXCEEDED, transaction, run, f"{exceeded}, by {transaction.writer or 'unknown'}", known
            )
            return
        role = role_of(transaction.writer)
        pair = (before, after)
        marked, run.marked = run.marked, False
        if self._table.allows_freely(pair, role):
            return
        for rule in self._table.conditional(pair, role):
            if asked_for(rule.need, self._answers, run, at, after):
                run.marked = after in RUN_FINISHED and self._answers.granted(run.dag, run.run, at)
                return
        what = f"{before} -> {after}, by {transaction.writer or 'an unknown writer'}"
        if marked:
            self._report(
                CheckerName.LOST_ACKNOWLEDGED_WRITE,
                transaction,
                run,
                f"the mark of a user was answered as stored: {what}",
                Known.LOST_MARK if role in (UNKNOWN_ROLE, SCHEDULER) else None,
            )
        else:
            self._report(CheckerName.ILLEGAL_TRANSITION, transaction, run, what)

    def version_changed(self, row: TaskRow, version: str | None) -> None:
        """A task instance has another version of its DAG."""
        if version is not None and row.version is not None and row.version != version:
            _, rows = self.refreshed.setdefault(row.run, (version, set()))
            rows.add(row.id)
        row.version = version

    def committed(self, transaction: TransactionCommitted) -> None:
        """The transaction is over. Report the task instances that a refresh left out."""
        for run, (version, rows) in self.refreshed.items():
            if role_of(transaction.writer) not in (UNKNOWN_ROLE, SCHEDULER):
                continue  # a clear gives a version to one task instance only
            for row in run.rows.values():
                self._findings.opportunities[CheckerName.STALE_VERSION] += 1
                if row.id not in rows and self._left_out(transaction, row, version):
                    anomaly = Anomaly(
                        CheckerName.STALE_VERSION,
                        transaction.at,
                        transaction.xid,
                        transaction.writer,
                        f"{run.dag}.{row.task} (run {run.run}) is {row.state} and was left out of the refresh "
                        f"of its run to the version {version}",
                    )
                    self._findings.report(anomaly, row, run)
        self.refreshed.clear()

    def _left_out(self, transaction: TransactionCommitted, row: TaskRow, version: str) -> bool:
        """Whether a task instance was unfinished before this transaction, and has another version after it."""
        if row.version == version or row.version is None or row.state in FINISHED:
            return False
        if row.trail and row.trail[-1][0].xid == transaction.xid:
            return False  # the same transaction moved it, from a state that the refresh does not have
        return self._covers_none or row.state != NONE

    def foldable(self, now: float) -> Iterator[RunRow]:
        """Runs that ended a while ago, with nothing unfinished."""
        while self.ended and self.ended[0][0] + FOLD_AFTER_S < now:
            ended_at, run = self.ended.popleft()
            if run.state not in RUN_FINISHED or run.unfinished > 0:
                continue
            if run.touched_at > ended_at and run.touched_at + FOLD_AFTER_S >= now:
                self.ended.append((run.touched_at, run))
            else:
                yield run

    def _report(
        self,
        checker: CheckerName,
        transaction: TransactionCommitted,
        run: RunRow,
        what: str,
        explained_by: Known | None = None,
    ) -> None:
        text = f"{run.dag}, run {run.run}: {what}"
        anomaly = Anomaly(checker, transaction.at, transaction.xid, transaction.writer, text, explained_by)
        self._findings.report(anomaly, run)
