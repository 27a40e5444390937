"""What does observing cost? `.venv/bin/python benchmarks/observer_overhead.py [PAIRS] [all|feed]`

Blocks with and without observers take turns on the fixed arm, under a load that the cluster can't keep up with, so that
what observing takes is missing from its throughput. `all`: all observers against none (but for the count at the end).
`feed`: all observers against all but the change feed.

Prints for each block the task instances per second of load, the CPU seconds of the load for each 1,000 of them, what
the change feed read, and the CPU time that the feed took under load, in this process and in the server's process that
sends it, as a share of the cluster's; then the mean differences with their 95 % intervals over pairs. On a machine that
does other work as well, differences between blocks say little, and the share still holds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import psycopg
import scipy.stats

from stress import events, history
from stress.checkers.view import BlockView
from stress.cluster.base import Cluster
from stress.cluster.local import LocalRuntime
from stress.feed import FeedFile
from stress.history import Recorder
from stress.interrupt import Interrupt
from stress.judge.history import summary_of
from stress.observers.database import Database
from stress.observers.feed.observer import ChangeFeed
from stress.observers.panel import KINDS, Panel, panel_of
from stress.plan import Options, check
from stress.run.block import Block, Turn
from stress.run.parts import load_of
from stress.run.settings import airflow_config, cluster_settings

UNSEEN: dict[str, Callable[[Cluster, Recorder], Panel]] = {
    "all": lambda cluster, record: panel_of(cluster, record, hollow=True, seeing=False),
    "feed": lambda cluster, record: panel_of(cluster, record, hollow=True, without=(ChangeFeed,)),
}


class Meter:
    """CPU seconds of the change feed: its observer and its file, the thread that receives, the server's process."""

    def __init__(self, cluster: Cluster, directory: Path, block: int) -> None:
        self.file = FeedFile(directory, block)
        self._cluster = cluster
        self._own_s = 0.0
        self._others_s = 0.0
        self._before_s = 0.0
        self.load_s = 0.0
        """Those of the time of load."""

    def append(self, transaction: events.TransactionCommitted) -> None:
        """Write to the feed's file."""
        with self.reading():
            self.file.append(transaction)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Count what this thread uses meanwhile."""
        began = time.thread_time()
        yield
        self._own_s += time.thread_time() - began

    def look(self) -> None:
        """Read what the other two have used so far; while both are there."""
        with psycopg.connect(self._cluster.dsn("airflow-stress")) as connection:
            row = connection.execute("SELECT active_pid FROM pg_replication_slots").fetchone()
        assert row is not None, "there is no feed"
        status = Path(f"/proc/{row[0]}/stat").read_text().rpartition(")")[2].split()
        sender_s = (int(status[11]) + int(status[12])) / os.sysconf("SC_CLK_TCK")
        thread = next(each for each in threading.enumerate() if each.name == "change-feed")
        assert thread.ident is not None
        self._others_s = sender_s + time.clock_gettime(time.pthread_getcpuclockid(thread.ident))

    def on_entry(self, entry: history.Entry) -> None:
        """Count from the begin of the load to its end, as the cluster's CPU seconds are counted."""
        if isinstance(entry.event, events.LoadStarted):
            self._before_s = self._own_s + self._others_s
        elif isinstance(entry.event, events.LoadStopped):
            self.load_s = self._own_s + self._others_s - self._before_s


class MeteredFeed(ChangeFeed):
    """The change feed, metered."""

    def __init__(self, cluster: Cluster, meter: Meter) -> None:
        super().__init__(cluster)
        self._meter = meter

    def poll(self) -> Iterator[events.AnyEvent]:
        with self._meter.reading():
            found = list(super().poll())
        self._meter.look()
        yield from found


def metered_panel(cluster: Cluster, record: Recorder, meter: Meter) -> Panel:
    """All observers, the change feed metered."""
    observers = {
        kind: MeteredFeed(cluster, meter) if kind is ChangeFeed else make(cluster) for kind, make in KINDS.items()
    }
    database = observers[Database]
    assert isinstance(database, Database)
    return Panel(list(observers.values()), record, lambda drains: database.aftermath(drains=drains))


@dataclasses.dataclass(frozen=True)
class Cost:
    """One block: its rate, and the CPU seconds of the cluster under load for 1,000 task instances."""

    task_instances_s: float
    cpu_s: float


def main(pairs: int, what: str) -> None:
    """Measure and print."""
    costs: dict[bool, list[Cost]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as scratch, Interrupt() as interrupt:
        directory = Path(scratch)
        base = check(Options(arms=("fixed",), out=str(directory / "run")))
        load = msgspec.structs.replace(base.load, churn_first_runs=24, churn_run_period_s=0.5)
        plan = dataclasses.replace(base, load=load)
        journal = history.Journal(directory / history.FILE_NAME)
        runtime = LocalRuntime(plan.run_id)
        try:
            prepared = runtime.prepare(plan.arms, print)
            for block in range(2 * pairs):
                # A B B A ...: a drift of the machine hits both alike.
                observed = (block % 2 == 0) == (block // 2 % 2 == 0)
                logs = directory / str(block)
                logs.mkdir()
                cluster = prepared.open(plan.arms[0], block, logs, cluster_settings(plan))
                entries: list[history.Entry] = []
                meter = Meter(cluster, directory, block)
                record = Recorder(journal, block, (entries.append, meter.on_entry), meter.append)
                panel = metered_panel(cluster, record, meter) if observed else UNSEEN[what](cluster, record)
                Block(
                    Turn("fixed", plan.dags, plan.load.seconds, (), drains=False, config=airflow_config(plan, "fixed")),
                    cluster,
                    load_of(plan, cluster, prepared.label, logs),
                    panel,
                    record,
                    interrupt,
                    phase=lambda _: None,
                    directory=logs,
                ).run()
                meter.file.close()
                view = BlockView.in_run(directory, block, "fixed", tuple(entries))
                costs[observed].append(_cost(view))
                said = _said(costs[observed][-1], view, meter.load_s)
                print(f"block {block}, {'observed' if observed else 'unseen':8}: {said}", flush=True)
        finally:
            runtime.close()
            journal.close()
    _compare(
        "task instances/s", [each.task_instances_s for each in costs[True]], [e.task_instances_s for e in costs[False]]
    )
    _compare("CPU", [each.cpu_s for each in costs[True]], [each.cpu_s for each in costs[False]])


def _cost(view: BlockView) -> Cost:
    assert view.last(events.TasksCounted) is not None, "the block was not counted"
    tasks = summary_of(view).task_instances
    used = view.last(events.CpuUsed)
    assert used is not None, "the CPU time was not read"
    return Cost(tasks / view.load_s, 1000 * sum(used.seconds.values()) / tasks)


def _said(cost: Cost, view: BlockView, feed_cpu_s: float) -> str:
    text = f"{cost.task_instances_s:.2f} task instances/s, {cost.cpu_s:.1f} CPU s for 1,000"
    ended = view.last(events.FeedEnded)
    used = view.last(events.CpuUsed)
    if ended is not None and used is not None:
        share = 100 * feed_cpu_s / sum(used.seconds.values())
        text += (
            f"; feed: {ended.changes} changes in {ended.transactions} transactions, {ended.bytes / 1e6:.2f} MB, "
            f"lag up to {ended.largest_lag_s:.2f} s, {feed_cpu_s:.2f} CPU s under load ({share:.1f} % of the cluster's)"
        )
    blind = [f"{event.observer} blind: {event.reason}" for _, event in view.all(events.ObserverBlind)]
    return "; ".join([text, *blind])


def _compare(what: str, seen: Sequence[float], unseen: Sequence[float]) -> None:
    """The mean relative difference over pairs, with Student's interval."""
    differences = [100 * (one / other - 1) for one, other in zip(seen, unseen, strict=True)]
    mean = statistics.mean(differences)
    if len(differences) < 2:
        print(f"{what}: observed is {mean:+.1f} % of unseen (one pair)")
        return
    error = statistics.stdev(differences) / len(differences) ** 0.5
    half = float(scipy.stats.t.ppf(0.975, len(differences) - 1)) * error
    interval = f"95 %: {mean - half:+.1f} to {mean + half:+.1f}, {len(seen)} pairs"
    print(f"{what}: observed against unseen {mean:+.1f} % ({interval})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2] if len(sys.argv) > 2 else "all")
