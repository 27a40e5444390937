"""Small histories, written by hand, for the tests of what reads them.

Times are seconds of load: second 0 is when the load of a block begins, and events from before it have negative times.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from stress import events, manifest
from stress.checkers.view import BlockView
from stress.history import FILE_NAME, Entry, History, Journal
from stress.load.settings import LoadSettings
from stress.manifest import ArmManifest, Manifest
from stress.results import RunState

EPOCH = 1_800_000_000.0
"""The unix time of second 0."""
LOAD_S = 60.0
RACES = ("deadlock", "duplicate_callback", "out_of_order_frame")
OBSERVERS = ("load", "postgres_log", "database", "receipts", "component_logs", "execution_api")
COMPONENTS = ("api-server", "scheduler-1", "scheduler-2", "dag-processor", "triggerer-1", "triggerer-2")


class Block:
    """One block's entries, in the order in which they are added."""

    def __init__(self, arm: str = "stock", number: int = 0, *, start: bool = True, hollow: bool = True) -> None:
        self.arm = arm
        self.number = number
        self.hollow = hollow
        self.entries: list[Entry] = []
        if start:
            self.add(-10.0, events.BlockStarted(arm=arm))
            for place, component in enumerate(COMPONENTS):
                self.add(-9.0, events.ComponentStarted(component=component, pid=100 + place, restarts=0))
            for observer in OBSERVERS if hollow else OBSERVERS[:-1]:
                self.add(-1.0, events.ObserverUp(observer=observer))
            self.add(0.0, events.LoadStarted())

    def add(self, at: float, *added: events.AnyEvent) -> Block:
        """Write events at a second of the load."""
        for event in added:
            self.entries.append(Entry(len(self.entries), EPOCH + at, self.number, event))
        return self

    def end(self, *, complete: bool = True, reason: str = "", missed: tuple[str, ...] = (), tasks: int = 0) -> Block:
        """The end of the load and of the block. Every finished task was reported as success, if workers are hollow."""
        if tasks and self.hollow:
            buckets = [0] * 13
            self.add(
                LOAD_S, events.ApiAnswered(operation="success", code=204, count=tasks, seconds=0.1, buckets=buckets)
            )
        self.add(LOAD_S, events.LoadStopped(seconds=LOAD_S))
        if complete:
            self.add(LOAD_S + 5, events.DeadlinesMissed(deadlines=list(missed)))
            self.add(LOAD_S + 5, events.TasksCounted(by_state={"success": tasks, "queued": 3}))
            if not any(isinstance(entry.event, events.BlockSettled) for entry in self.entries):
                self.add(LOAD_S + 5, settled(), events.DeadlinesPassed(deadlines=[]))
                self.add(LOAD_S + 5, events.FiniteTasksCounted(total=0, unfinished=[], runs=[]))
        return self.add(LOAD_S + 6, events.BlockEnded(complete=complete, reason=reason))

    def view(self) -> BlockView:
        """As a checker sees it."""
        return BlockView(self.number, self.arm, tuple(self.entries))


def run(*blocks: Block, fixes: dict[str, list[str]] | None = None, races: tuple[str, ...] = RACES) -> History:
    """A run's history: its plan (stock against fixed) and its blocks."""
    fixes = fixes or {"stock": [], "fixed": []}
    planned: list[events.AnyEvent] = [
        events.RunPlanned(run_id="20270115-080000-abcdef", seed=7, races=list(races), scenarios=["version_churn"]),
        *(events.ArmPlanned(name=name, airflow="3.2.1", fixes=names) for name, names in fixes.items()),
    ]
    entries: list[tuple[float, int | None, events.AnyEvent]] = [(EPOCH - 60, None, event) for event in planned]
    entries += [
        (entry.t + 100.0 * block.number, block.number, entry.event) for block in blocks for entry in block.entries
    ]
    return History(tuple(Entry(seq, t, block, event) for seq, (t, block, event) in enumerate(entries)), None)


def at(second: float) -> float:
    """The unix time of a second of the load, for events that carry their own time."""
    return EPOCH + second


def deadlock(
    second: float = 10.0, left: tuple[str, str] = ("", ""), right: tuple[str, str] = ("", "")
) -> events.DeadlockSeen:
    """A deadlock of two sides, each a component and a signature; by default the one that the reports are about."""
    left = left if left[0] else ("api-server", "SELECT task_instance, dag_run FOR UPDATE")
    right = right if right[0] else ("scheduler-1", "UPDATE task_instance SET dag_version_id")
    sides = [
        events.DeadlockSide(pid=pid, component=component, statement=mark, waits_for="ShareLock", signature=mark)
        for pid, (component, mark) in enumerate((left, right), start=500)
    ]
    return events.DeadlockSeen(at=at(second), victim=left[0], context="while locking tuple (4,13)", sides=sides)


def callback(
    deadline: str, trigger: int | None, component: str = "triggerer-1", second: float = 20.0, pid: int = 104
) -> events.AnyEvent:
    """An execution of a deadline's callback."""
    return events.CallbackExecuted(at=at(second), component=component, pid=pid, deadline=deadline, trigger=trigger)


def report(
    second: float, dag: str, task: str = "t", *, run: str = "r", state: str = "success", code: int = 204, **more: Any
) -> events.ReportAnswered:
    """A worker's report of a task's end, made at a second of the load and answered 50 ms later."""
    known: dict[str, Any] = {"id": f"{dag}.{run}.{task}", "try_number": 1}
    return events.ReportAnswered(
        at=at(second + 0.05), sent_at=at(second), dag=dag, run=run, task=task, state=state, code=code, **known | more
    )


def request(
    second: float, what: str, dag: str, task: str = "", *, run: str = "r", state: str = "", code: int = 200
) -> events.RequestAnswered:
    """A user's request, made at a second of the load and answered 50 ms later; a clear names one task instance."""
    return events.RequestAnswered(
        at=at(second + 0.05),
        sent_at=at(second),
        request=what,
        dag=dag,
        run=run,
        task=task,
        state=state,
        code=code,
        changed=1 if code == 200 and what == "clear_task" else None,
    )


def left(dag: str, task: str = "t", *, run: str = "r", state: str = "failed", **more: Any) -> events.UnfinishedTask:
    """A task instance that is no success at the end of a block."""
    known: dict[str, Any] = {"id": f"{dag}.{run}.{task}", "try_number": 1, "run_state": "failed"}
    return events.UnfinishedTask(dag=dag, run=run, task=task, state=state, **known | more)


def counted(*unfinished: events.UnfinishedTask, runs: tuple[events.UnfinishedRun, ...] = ()) -> events.AnyEvent:
    """What is no success at the end of a block."""
    return events.FiniteTasksCounted(total=100, unfinished=list(unfinished), runs=list(runs))


def write(
    directory: Path, history: History, state: RunState = RunState.DONE, *, pid: int = 1, started: int = 0
) -> Path:
    """A run's directory as the harness leaves it: its manifest and its history (with the times of now)."""
    directory.mkdir(parents=True, exist_ok=True)
    journal = Journal(directory / FILE_NAME)
    for entry in history.entries:
        journal.append(entry.event, entry.block)
    journal.close()
    manifest.save(manifest_of(state, pid=pid, started=started), directory)
    return directory


def manifest_of(state: RunState = RunState.DONE, *, pid: int = 1, started: int = 0) -> Manifest:
    """A run's manifest; by default its harness is not the process that has the id now."""
    return msgspec.structs.replace(
        Manifest(
            run_id="20270115-080000-abcdef",
            state=str(state),
            seed=7,
            started_at=EPOCH - 60,
            ended_at=EPOCH + 600,
            command="stress run --seed 7",
            runtime="local",
            scenarios=["version_churn"],
            races=list(RACES),
            arms=[
                ArmManifest(name=name, airflow="3.2.1", overlay=[], fixes=[], config={}) for name in ("stock", "fixed")
            ],
            releases=["3.2.1"],
            fixes=[],
            budget_s=540.0,
            load=LoadSettings(),
            workers="hollow",
            settings={},
            host={"cpus": "2"},
            harness_pid=pid,
            harness_started=started,
        )
    )


def settled(callbacks: int = 0, tasks: int = 0, unchanged_s: float = 100.0) -> events.BlockSettled:
    """A block's settling in which a standstill of 27 s (callbacks) or 70 s (tasks) would count."""
    return events.BlockSettled(
        seconds=100.0,
        callbacks=callbacks,
        callbacks_unchanged_s=unchanged_s,
        callbacks_needed_s=27.0,
        tasks=tasks,
        tasks_unchanged_s=unchanged_s,
        tasks_needed_s=70.0,
    )


def fault(block: Block, kind: str, target: str, start: float, end: float | None = None, number: int = 0) -> Block:
    """A fault from a second of the load to another; one without an end is never healed."""
    lasts_s = 0.0 if end is None else end - start
    block.add(start, events.FaultInjected(number=number, fault=kind, target=target, planned_s=lasts_s))
    if end is not None:
        block.add(end, events.FaultHealed(number=number, fault=kind, target=target, seconds=lasts_s))
    return block


def restarted(block: Block, component: str, down: float, up: float, pid: int = 900) -> Block:
    """A component ends at one second of the load and is started again at another."""
    old = 100 + COMPONENTS.index(component)
    block.add(down, events.ComponentExited(component=component, pid=old, code=-9))
    return block.add(up, events.ComponentStarted(component=component, pid=pid, restarts=1))
