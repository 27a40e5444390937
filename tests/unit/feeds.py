"""Change feeds as a cluster without any race would leave them: made from a seed, for the tests of the model.

A feed is of one DAG with a cap on its runs and one on its tasks, and of one whose tasks are deferred. Times are unix
seconds, and no two transactions have the same time. `Feed.answers` are the answers that belong to it.
"""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from stress import events
from stress.events import AnyEvent, RowChange, TransactionCommitted

EPOCH = 1_800_000_000.0
CHAIN = "chain"
WAITING = "waiting"
MAX_ACTIVE_RUNS = 4
MAX_ACTIVE_TASKS = 2
POOL_SLOTS = 64
TASKS = 5

SCHEDULERS = ("scheduler-1", "scheduler-2")
API = "api-server"
TRIGGERER = "triggerer-1"


@dataclass
class Task:
    """A task instance as the feed left it."""

    id: str
    run: str
    dag: str
    task: str
    state: str | None = None
    pid: int = 0


@dataclass
class Feed:
    """Transactions in the order of their commits, and the answers around them."""

    transactions: list[TransactionCommitted] = field(default_factory=list)
    answers: list[tuple[float, AnyEvent]] = field(default_factory=list)


class Writer:
    """Writes transactions one after the other."""

    def __init__(self, seed: int, *, archives: bool = False) -> None:
        self.random = random.Random(seed)  # noqa: S311 - the same feed again for the same seed
        self.archives = archives
        self.now = EPOCH
        self.numbers = itertools.count(1)
        self.acknowledged: list[tuple[str, float, float]] = []
        self.requests: list[events.RequestAnswered] = []

    def commit(self, writer: str, *changes: RowChange, xid: int | None = None) -> TransactionCommitted:
        """One transaction, a little later than the one before."""
        self.now = round(self.now + self.random.uniform(0.001, 0.02), 6)
        number = next(self.numbers)
        return TransactionCommitted(
            xid=number if xid is None else xid, lsn=number, at=self.now, writer=writer, changes=changes
        )

    def id(self) -> str:
        """A new id of a task instance."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def snapshot(self) -> TransactionCommitted:
        """The rows that are there when a feed begins."""
        dags = [
            RowChange("dag", "insert", (name,), {"max_active_runs": str(runs), "max_active_tasks": str(tasks)})
            for name, runs, tasks in ((CHAIN, MAX_ACTIVE_RUNS, MAX_ACTIVE_TASKS), (WAITING, 16, 16))
        ]
        pool: dict[str, str | None] = {"pool": "default_pool", "slots": str(POOL_SLOTS), "include_deferred": "f"}
        jobs = [RowChange("job", "insert", (str(n),), {"state": "running", "end_date": None}) for n in (1, 2, 3, 4)]
        return self.commit("", *dags, RowChange("slot_pool", "insert", ("1",), pool), *jobs, xid=0)


def task_change(task: Task, state: str | None, **columns: str | None) -> RowChange:
    """A change of a task instance's state."""
    task.state = state
    return RowChange("task_instance", "update", (task.id,), {"state": state, **columns})


def run_insert(id_: str, dag: str, run: str, state: str = "queued", date: str | None = None) -> RowChange:
    """A new run."""
    columns = {"dag_id": dag, "run_id": run, "state": state, "backfill_id": None, "logical_date": date}
    return RowChange("dag_run", "insert", (id_,), columns)


def task_insert(task: Task, version: str = "v1", **columns: str | None) -> RowChange:
    """A new task instance."""
    fixed: dict[str, str | None] = {
        "dag_id": task.dag, "run_id": task.run, "task_id": task.task, "map_index": "-1", "state": task.state,
        "try_number": "0", "pool": "default_pool", "pool_slots": "1", "dag_version_id": version, "trigger_id": None,
    }  # fmt: skip
    return RowChange("task_instance", "insert", (task.id,), {**fixed, **columns})


def run_of(writer: Writer, number: int, dag: str) -> Iterator[TransactionCommitted]:
    """One run from its begin to its end, a transaction at a time; some are cleared once, as they end."""
    run, id_ = f"{dag}-{number}", str(number)
    scheduler = writer.random.choice(SCHEDULERS)
    yield writer.commit(API, run_insert(id_, dag, run, date=f"date-{number}"))
    yield writer.commit(scheduler, RowChange("dag_run", "update", (id_,), {"state": "running"}))
    tasks = [Task(writer.id(), run, dag, f"task_{place}") for place in range(TASKS)]
    yield writer.commit(scheduler, *(task_insert(task) for task in tasks))
    for task in tasks:
        yield from attempt(writer, task, scheduler, "1")
    if writer.random.random() < 0.1:
        yield from cleared(writer, writer.random.choice(tasks), scheduler)
    yield writer.commit(scheduler, RowChange("dag_run", "update", (id_,), {"state": "success"}))


def attempt(writer: Writer, task: Task, scheduler: str, number: str) -> Iterator[TransactionCommitted]:
    """One attempt of a task instance, with a deferral in the waiting DAG."""
    yield writer.commit(scheduler, task_change(task, "scheduled", try_number=number))
    yield from _start(writer, task, scheduler)
    if task.dag == WAITING:
        trigger = str(next(writer.numbers))
        insert = RowChange("trigger", "insert", (trigger,), {"triggerer_id": None})
        yield writer.commit(API, insert, task_change(task, "deferred", trigger_id=trigger, next_method="resume"))
        yield writer.commit(TRIGGERER, RowChange("trigger", "update", (trigger,), {"triggerer_id": "3"}))
        yield writer.commit(TRIGGERER, task_change(task, "scheduled", trigger_id=None, scheduled_dttm="now"))
        yield writer.commit(TRIGGERER, RowChange("trigger", "delete", (trigger,)))
        yield from _start(writer, task, scheduler)
    ended = writer.commit(API, task_change(task, "success", end_date="now"))
    writer.acknowledged.append((task.id, ended.at - 0.01, ended.at + 0.01))
    yield ended


def _start(writer: Writer, task: Task, scheduler: str) -> Iterator[TransactionCommitted]:
    job = str(SCHEDULERS.index(scheduler) + 1)
    yield writer.commit(scheduler, task_change(task, "queued", queued_by_job_id=job))
    task.pid = next(writer.numbers)
    yield writer.commit(API, task_change(task, "running", hostname=scheduler, pid=str(task.pid)))


def cleared(writer: Writer, task: Task, scheduler: str) -> Iterator[TransactionCommitted]:
    """A clear by a user, and the attempt that follows."""
    sent_at = writer.now
    if writer.archives:
        old, task.id, task.state = task.id, writer.id(), None
        archive = RowChange("task_instance", "update", (old,), {"working_set": None, "archived_reason": "retry"})
        yield writer.commit(API, archive, task_insert(task, working_set="t", try_number="1"))
    else:
        old, task.id = task.id, writer.id()
        yield writer.commit(API, RowChange("task_instance", "update", (old,), {"id": task.id, "state": None}))
    writer.requests.append(
        events.RequestAnswered(
            at=writer.now + 0.01, sent_at=sent_at, request="clear_task", dag=task.dag, run=task.run, task=task.task,
            state="", code=200, changed=1,
        )
    )  # fmt: skip
    yield from attempt(writer, task, scheduler, "2")


def workers_seen() -> events.ApiAnswered:
    """A sum of answers, as the observer of hollow workers records it."""
    return events.ApiAnswered(operation="run", code=200, count=1, seconds=0.1, buckets=[0, 1], bounds=[0.05])


def clean(seed: int, runs: int, *, archives: bool = False) -> Feed:
    """A feed of so many runs of both DAGs, at most `MAX_ACTIVE_RUNS` of each at a time."""
    writer = Writer(seed, archives=archives)
    feed = Feed([writer.snapshot()])
    feed.transactions.extend(interleaved(writer, runs))
    feed.answers.extend(
        (at, events.SuccessAcknowledged(task_instances=[id_], answered=[(sent, at)]))
        for id_, sent, at in writer.acknowledged
    )
    feed.answers.extend((request.at, request) for request in writer.requests)
    feed.answers.append((EPOCH, workers_seen()))
    return feed


def interleaved(writer: Writer, runs: int, first: int = 0) -> Iterator[TransactionCommitted]:
    """The transactions of the runs, numbered after `first`; those of runs in progress are in a random order."""
    waiting = [(first + number, writer.random.choice((CHAIN, WAITING))) for number in range(runs, 0, -1)]
    active: list[Iterator[TransactionCommitted]] = []
    while waiting or active:
        while waiting and len(active) < MAX_ACTIVE_RUNS:
            number, dag = waiting.pop()
            active.append(run_of(writer, number, dag))
        chosen = writer.random.randrange(len(active))
        step = next(active[chosen], None)
        if step is None:
            del active[chosen]
        else:
            yield step
