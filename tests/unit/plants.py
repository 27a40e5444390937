"""Plants: transactions that break a promise of Airflow, put at random places into a feed that has none.

Each plant has its own victims, which the first transactions of the feed bring into their state legally, so that one
plant is one anomaly and what follows in the feed is not disturbed. A plant's transactions are recognized by their xid.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from stress import events
from stress.events import AnyEvent, RowChange, TransactionCommitted
from stress.model import CheckerName
from tests.unit.feeds import API, Feed, Task, Writer, run_insert, task_change, task_insert

FIRST_XID = 1_000_000_000
VICTIMS = "victims"
PLANTER = "planted"


@dataclass
class Plants:
    """What is added to a feed: transactions at its begin, plants for random places, answers."""

    writer: Writer
    begin: list[TransactionCommitted]
    planted: list[tuple[CheckerName, TransactionCommitted]]
    answers: list[tuple[float, AnyEvent]]

    def victim(self, state: str, *, deferred: bool = False, run: str | None = None) -> Task:
        """A task instance that came into this state as the rules allow."""
        number = len(self.begin)
        name = run if run is not None else f"victim-{number}"
        task = Task(self.writer.id(), name, VICTIMS, f"task_{number}")
        commit = self.writer.commit
        if run is None:
            self.start_run(name)
        steps: list[tuple[str, dict[str, str | None]]] = [
            ("scheduled", {"try_number": "1"}),
            ("queued", {"queued_by_job_id": "1"}),
            ("running", {"hostname": "h", "pid": "1"}),
        ]
        if deferred:
            steps += [("deferred", {"trigger_id": "9"}), ("scheduled", {"trigger_id": None}), *steps[1:]]
        if state == "deferred":
            steps = [*steps[:3], ("deferred", {"trigger_id": "9"})]
        elif state in ("success", "failed"):
            steps.append((state, {}))
        elif state != "running":
            last = max(place for place, (name, _) in enumerate(steps) if name == state)
            steps = steps[: last + 1]
        self.begin.append(commit("scheduler-1", task_insert(task, pool="victims")))
        for after, columns in steps:
            before = task.state
            role = API if before in ("queued", "running") else "triggerer-1" if before == "deferred" else "scheduler-1"
            self.begin.append(commit(role, task_change(task, after, **columns)))
        if state == "success":
            at = self.begin[-1].at
            acknowledged = events.SuccessAcknowledged(task_instances=[task.id], answered=[(at - 0.01, at + 0.01)])
            self.answers.append((at, acknowledged))
        return task

    def start_run(self, name: str, dag: str = VICTIMS) -> str:
        """A running run; its id."""
        id_ = f"id {name}"
        self.begin.append(self.writer.commit(API, run_insert(id_, dag, name, date=f"date {name}")))
        self.begin.append(
            self.writer.commit("scheduler-1", RowChange("dag_run", "update", (id_,), {"state": "running"}))
        )
        return id_

    def plant(self, checker: CheckerName, writer: str, *changes: RowChange) -> None:
        """A transaction for a random place."""
        xid = FIRST_XID + len(self.planted)
        self.planted.append((checker, TransactionCommitted(xid=xid, lsn=0, at=0.0, writer=writer, changes=changes)))

    def asked(self, request: str, task: Task, state: str) -> None:
        """A request of a user that is in progress for as long as the feed lasts, so that it covers a random place."""
        answer = events.RequestAnswered(
            at=4e9, sent_at=0.0, request=request, dag=task.dag, run=task.run, task=task.task, state=state, code=200
        )
        self.answers.append((4e9, answer))


def _illegal(plants: Plants, number: int) -> None:
    before, after = (("running", "queued"), ("scheduled", "success"), ("deferred", "running"), ("success", "running"))[
        number % 4
    ]
    task = plants.victim(before)
    plants.plant(CheckerName.ILLEGAL_TRANSITION, PLANTER if number % 3 else "", task_change(task, after))


def _overwritten(plants: Plants, number: int) -> None:
    task = plants.victim("success")
    after = ("failed", "skipped")[number % 2]
    plants.plant(
        CheckerName.LOST_ACKNOWLEDGED_WRITE, (PLANTER, "", API, "scheduler-2")[number % 4], task_change(task, after)
    )


def _run_above_its_cap(plants: Plants, number: int) -> None:
    dag = "capped"
    if number == 0:
        plants.start_run("capped-running", dag)
    name = f"capped-{number}"
    plants.begin.append(plants.writer.commit(API, run_insert(f"id {name}", dag, name, date=name)))
    start = RowChange("dag_run", "update", (f"id {name}",), {"state": "running"})
    plants.plant(CheckerName.CAP_EXCEEDED, (PLANTER, "", "scheduler-2")[number % 3], start)


def _task_above_its_cap(plants: Plants, number: int) -> None:
    name = "narrow"
    if number == 0:
        plants.start_run(name, "narrow")
    task = Task(plants.writer.id(), name, "narrow", f"task_{number}")
    plants.begin.append(plants.writer.commit("scheduler-1", task_insert(task, pool="victims")))
    plants.begin.append(plants.writer.commit("scheduler-1", task_change(task, "scheduled", try_number="1")))
    queued = task_change(task, "queued", queued_by_job_id="2")
    if number == 0:
        plants.begin.append(plants.writer.commit("scheduler-1", queued))
    else:
        plants.plant(CheckerName.CAP_EXCEEDED, ("scheduler-2", PLANTER)[number % 2], queued)


def _pool_above_its_slots(plants: Plants, number: int) -> None:
    task = Task(plants.writer.id(), "pooled", VICTIMS, f"task_{number}")
    if number == 0:
        plants.start_run("pooled")
    plants.begin.append(plants.writer.commit("scheduler-1", task_insert(task, pool="no slots")))
    plants.begin.append(plants.writer.commit("scheduler-1", task_change(task, "scheduled", try_number="1")))
    plants.plant(CheckerName.CAP_EXCEEDED, "scheduler-2", task_change(task, "queued", queued_by_job_id="2"))


def _started_twice(plants: Plants, number: int) -> None:
    task = plants.victim("running")
    other = RowChange("task_instance", "update", (task.id,), {"hostname": "elsewhere", "pid": str(number + 2)})
    plants.plant(CheckerName.DOUBLE_START, (PLANTER, API)[number % 2], other)


def _clear_lost(plants: Plants, _: int) -> None:
    task = plants.victim("success")
    plants.begin.append(
        plants.writer.commit("scheduler-1", RowChange("dag_run", "update", (f"id {task.run}",), {"state": "success"}))
    )
    plants.asked("clear_task", task, "")
    if plants.writer.archives:
        old, task.id, task.state = task.id, plants.writer.id(), None
        archive = RowChange("task_instance", "update", (old,), {"working_set": None})
        plants.plant(CheckerName.LOST_CLEAR, API, archive, task_insert(task, working_set="t"))
    else:
        new = RowChange("task_instance", "update", (task.id,), {"id": plants.writer.id(), "state": None})
        plants.plant(CheckerName.LOST_CLEAR, API, new)


def stale_event(plants: Plants, number: int) -> None:
    if number % 2:
        task = plants.victim("failed", deferred=True)
        plants.plant(CheckerName.STALE_EVENT, "triggerer-2", task_change(task, "scheduled", scheduled_dttm="now"))
    else:
        task = plants.victim("scheduled", deferred=True)
        again = RowChange("task_instance", "update", (task.id,), {"scheduled_dttm": "later"})
        plants.plant(CheckerName.STALE_EVENT, "triggerer-2", again)


def _stale_success(plants: Plants, number: int) -> None:
    task = plants.victim(("queued", "running")[number % 2], deferred=True)
    plants.plant(CheckerName.STALE_SUCCESS, "scheduler-1", task_change(task, "failed", end_date="now"))


def _second_run(plants: Plants, number: int) -> None:
    plants.start_run(f"once-{number}")
    twice = run_insert(f"again {number}", VICTIMS, f"another-{number}", date=f"date once-{number}")
    plants.plant(CheckerName.DUPLICATE_ROW, "scheduler-2", twice)


def _second_trigger(plants: Plants, number: int) -> None:
    key = (f"callback {number}",)
    commit = plants.writer.commit
    plants.begin.append(
        commit("dag-processor", RowChange("callback", "insert", key, {"state": "scheduled", "trigger_id": None}))
    )
    first = RowChange("callback", "update", key, {"state": "queued", "trigger_id": f"1{number}"})
    plants.begin.append(commit("scheduler-1", first))
    second = RowChange("callback", "update", key, {"trigger_id": f"2{number}"})
    plants.plant(CheckerName.DUPLICATE_ROW, "scheduler-2", second)


def _left_out(plants: Plants, number: int) -> None:
    name = f"refreshed-{number}"
    plants.start_run(name)
    plants.victim("running", run=name)
    refreshed = plants.victim("queued", run=name)
    change = RowChange("task_instance", "update", (refreshed.id,), {"dag_version_id": "v2"})
    plants.plant(CheckerName.STALE_VERSION, "scheduler-2", change)


Kind = Callable[[Plants, int], None]

KINDS: tuple[Kind, ...] = (
    _illegal,
    _overwritten,
    _run_above_its_cap,
    _task_above_its_cap,
    _pool_above_its_slots,
    _started_twice,
    _clear_lost,
    stale_event,
    _stale_success,
    _second_run,
    _second_trigger,
    _left_out,
)


def planted(feed: Feed, kinds: Iterable[Kind], times: int, writer: Writer) -> tuple[Feed, dict[int, CheckerName]]:
    """A feed with so many plants of each kind at random places, and the checker that must find each, by its xid."""
    plants = Plants(writer, [], [], list(feed.answers))
    writer.now = feed.transactions[0].at - 10_000.0
    dags = [
        RowChange("dag", "insert", (name,), {"max_active_runs": str(runs), "max_active_tasks": str(tasks)})
        for name, runs, tasks in ((VICTIMS, 0, 0), ("capped", 1, 16), ("narrow", 16, 1))
    ]
    pools = [
        RowChange("slot_pool", "insert", (name,), {"pool": name, "slots": slots, "include_deferred": "f"})
        for name, slots in (("victims", "-1"), ("no slots", "0"))
    ]
    plants.begin.append(writer.commit("", *dags, *pools, xid=0))
    for kind in kinds:
        for number in range(times):
            kind(plants, number)
    moved = [replace_at(each, feed.transactions[0].at) for each in plants.begin]
    places = sorted(writer.random.randrange(1, len(feed.transactions)) for _ in plants.planted)
    writer.random.shuffle(plants.planted)
    merged = [*moved]
    for place, transaction in enumerate(feed.transactions):
        here = range(bisect.bisect_left(places, place), bisect.bisect_right(places, place))
        merged.extend(replace_at(plants.planted[index][1], transaction.at) for index in here)
        merged.append(transaction)
    return Feed(merged, plants.answers), {each.xid: checker for checker, each in plants.planted}


def replace_at(transaction: TransactionCommitted, at: float) -> TransactionCommitted:
    """The same transaction at another time."""
    return msgspec.structs.replace(transaction, at=at)
