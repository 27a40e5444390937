"""One pass over a block: its answers, and then its transactions in the order of their commits."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from stress.events import AnyEvent, RowChange, TransactionCommitted
from stress.model.anomalies import CheckerName, Findings
from stress.model.answers import Answers
from stress.model.callbacks import Callbacks
from stress.model.caps import Caps
from stress.model.rules import line_of
from stress.model.runs import FOLD_AFTER_S, Runs
from stress.model.task_checks import TaskChecks
from stress.model.tasks import Tasks


def check(
    transactions: Iterable[TransactionCommitted], answers: Iterable[tuple[float, AnyEvent]], release: str
) -> Findings:
    """Check the transactions of one block, in the order of their commits, against the model of a release.

    `answers` are the block's other events with the unix time of their writing. The transactions are read once and not
    kept. Raises ValueError for a release that is no version.
    """
    with _without_cycle_detection():
        model = _Model(Answers(answers), release)
        for transaction in transactions:
            model.committed(transaction)
        return model.ended()


@contextmanager
def _without_cycle_detection() -> Iterator[None]:
    """Python's search for reference cycles costs 8 % here and finds none: a run that is folded has no more cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Model:
    """The state of one block."""

    def __init__(self, answers: Answers, release: str) -> None:
        line = line_of(release)
        findings = self._findings = Findings()
        findings.blind.extend(answers.blind)
        self._caps = Caps()
        self._runs = Runs(line, self._caps, answers, findings)
        self._callbacks = Callbacks(line, answers, findings)
        self._tasks = Tasks(self._runs, self._caps, answers, TaskChecks(line, self._caps, answers, findings))

    def committed(self, transaction: TransactionCommitted) -> None:
        """One transaction. Runs first: whether a run ends in it decides what its task instances may do."""
        changes = transaction.changes
        if len(changes) == 1:
            change = changes[0]
            if change.table == "task_instance":
                self._tasks.changed(transaction, change)
            else:
                self._other(transaction, change)
        else:
            for change in changes:
                if change.table != "task_instance":
                    self._other(transaction, change)
            for change in changes:
                if change.table == "task_instance":
                    self._tasks.changed(transaction, change)
        self._tasks.committed()
        runs = self._runs
        if runs.refreshed:
            runs.committed(transaction)
        if runs.ended and runs.ended[0][0] + FOLD_AFTER_S < transaction.at:
            for run in runs.foldable(transaction.at):
                self._tasks.fold(run)

    def _other(self, transaction: TransactionCommitted, change: RowChange) -> None:
        table = change.table
        if table == "dag_run":
            self._runs.changed(transaction, change)
        elif table == "trigger":
            self._callbacks.trigger_changed(transaction, change)
        elif table in ("callback", "deadline"):
            self._callbacks.changed(transaction, change)
        elif table == "job":
            self._callbacks.job_changed(transaction, change)
        elif table == "slot_pool":
            self._caps.pool_changed(change)
        elif table == "dag":
            self._caps.dag_changed(change)
        elif table == "backfill":
            self._caps.backfill_changed(change)

    def ended(self) -> Findings:
        """The block is over."""
        self._tasks.ended()
        findings = self._findings
        findings.opportunities[CheckerName.ILLEGAL_TRANSITION] = findings.transitions.total()
        return findings
