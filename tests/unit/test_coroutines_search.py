"""The event loop under control and the search, on small programmes without Airflow."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from airflow_stress_explore.coroutines import search
from airflow_stress_explore.coroutines.loop import ControlledLoop
from airflow_stress_explore.coroutines.schedule import Chooser, decode, encode
from airflow_stress_explore.coroutines.search import Search
from airflow_stress_explore.coroutines.threads import (
    ControlledLock,
    Executors,
    under_control,
)
from airflow_stress_explore.coroutines.world import AbandonedError, Event, World


class Programme:
    """Tasks that start when the schedule says so, and leave notes; some may be cancelled."""

    def __init__(self, chooser: Chooser, cancelled: str = "") -> None:
        self.world = World(chooser)
        self.executors = Executors(self.world)
        self.loop = ControlledLoop(self.world, self.executors)
        self.notes: list[str] = []
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        self.cancelled = cancelled

    def play(self, **actors: Callable[[str], Coroutine[Any, Any, Any]]) -> None:
        """Run all of them to the end, or to where nothing can go on."""
        with under_control(self.world, self.executors):
            for name, actor in actors.items():
                start = functools.partial(self._start, name, actor)
                self.world.events.append(Event(f"start {name}", lambda: True, start, tail=True, once=True))
            for name in self.cancelled:
                cancel = functools.partial(self._cancel, name)
                can = functools.partial(self._can_cancel, name)
                self.world.events.append(Event(f"cancel {name}", can, cancel, tail=True, once=True, optional=True))
            self.world.appended = self.loop.appended
            self.world.choosing = True
            try:
                self.loop.run_forever()
            finally:
                self.world.unwind()
                self.loop.abandon()
        if self.world.error is not None:
            raise self.world.error

    def hung(self) -> list[str]:
        """Who never came to an end."""
        return [
            name
            for name, task in self.tasks.items()
            if not task.done() or (not task.cancelled() and isinstance(task.exception(), AbandonedError))
        ]

    def _start(self, name: str, actor: Callable[[str], Coroutine[Any, Any, Any]]) -> None:
        self.tasks[name] = self.loop.create_task(actor(name))

    def _can_cancel(self, name: str) -> bool:
        return name in self.tasks and not self.tasks[name].done()

    def _cancel(self, name: str) -> None:
        self.loop.call_soon(self.tasks[name].cancel)


def lost_update(chooser: Chooser) -> list[str]:
    """Two tasks read a number, wait, and write it plus one."""
    programme = Programme(chooser)
    number = 0

    async def add(_name: str) -> None:
        nonlocal number
        seen = number
        await asyncio.sleep(0)
        number = seen + 1

    programme.play(A=add, B=add)
    return [] if number == 2 else [f"the sum is {number}"]


def test_lost_update_needs_one_preemption() -> None:
    assert list(Search(lost_update, 0, 60)) == []
    found = list(Search(lost_update, 1, 60))
    assert found
    assert {failure for one in found for failure in one.failures} == {"the sum is 1"}
    assert {one.preemptions for one in found} == {1}


def test_failing_schedule_fails_again_from_its_string() -> None:
    found = next(iter(Search(lost_update, 1, 60)))
    for _ in range(20):
        assert lost_update(Chooser(decode(encode(found.choices)))) == found.failures


def test_ready_handles_keep_the_order_that_asyncio_promises() -> None:
    """Swapping them would be a false alarm."""

    def run(chooser: Chooser) -> list[str]:
        programme = Programme(chooser)

        async def both(_name: str) -> None:
            for note in "12":
                asyncio.get_running_loop().call_soon(programme.notes.append, note)

        programme.play(A=both)
        return [] if programme.notes == ["1", "2"] else ["swapped"]

    whole = Search(run, 3, 60)
    assert list(whole) == []
    assert whole.progress.exhausted


def test_cancellation_strikes_at_every_await() -> None:
    outcomes: set[tuple[str, ...]] = set()

    def run(chooser: Chooser) -> list[str]:
        programme = Programme(chooser, cancelled="A")

        async def three(_name: str) -> None:
            for note in "123":
                programme.notes.append(note)
                await asyncio.sleep(0)

        programme.play(A=three)
        outcomes.add((*programme.notes, "cancelled" if programme.tasks["A"].cancelled() else "ended"))
        return []

    assert list(Search(run, 1, 60)) == []
    assert outcomes == {
        ("1", "cancelled"),
        ("1", "2", "cancelled"),
        ("1", "2", "3", "cancelled"),
        ("1", "2", "3", "ended"),
    }


def test_deadlock_is_told_at_once() -> None:
    """Nobody waits for a clock: nothing can go on, and that is the finding."""

    def run(chooser: Chooser) -> list[str]:
        programme = Programme(chooser)
        first, second = asyncio.Lock(), asyncio.Lock()
        locks = {"A": (first, second), "B": (second, first)}

        async def take(name: str) -> None:
            one, other = locks[name]
            async with one:
                await asyncio.sleep(0)
                async with other:
                    pass

        programme.play(A=take, B=take)
        return programme.hung()

    failing = list(Search(run, 1, 60))
    assert [set(one.failures) for one in failing] == [{"A", "B"}] * len(failing)
    assert failing


def test_loop_that_blocks_its_own_thread_is_told() -> None:
    """A thread lock held across an await: the second task blocks the only thread that could release it."""

    def run(chooser: Chooser) -> list[str]:
        programme = Programme(chooser)
        lock = ControlledLock()

        async def hold(_name: str) -> None:
            with lock:
                await asyncio.sleep(0)

        programme.play(A=hold, B=hold)
        assert programme.loop.in_handle == bool(programme.hung())
        return programme.hung()

    assert run(Chooser()) == [], "one after the other"
    assert list(Search(run, 1, 60))


def test_threads_are_handed_over_one_at_a_time() -> None:
    """A race of two threads for a number that their loop hands them, and not one that Python's own switches make."""
    sums: set[int] = set()

    def run(chooser: Chooser) -> list[str]:
        programme = Programme(chooser)
        number = 0

        async def read() -> int:
            return number

        def add() -> None:
            nonlocal number
            seen = asyncio.run_coroutine_threadsafe(read(), programme.loop).result()
            number = seen + 1

        async def in_thread(_name: str) -> None:
            await asyncio.to_thread(add)

        programme.play(A=in_thread, B=in_thread)
        assert not programme.hung()
        sums.add(number)
        return []

    whole = Search(run, 1, 60)
    assert list(whole) == []
    assert whole.progress.exhausted
    assert sums == {1, 2}


def test_thread_that_waits_for_ever_is_told_and_given_back() -> None:
    def run(chooser: Chooser) -> list[str]:
        programme = Programme(chooser)

        async def in_thread(_name: str) -> None:
            await asyncio.to_thread(lambda: threading.Condition().__enter__() and threading.Event().wait())

        programme.play(A=in_thread)
        return programme.hung()

    before = threading.active_count()
    for _ in range(5):
        assert run(Chooser()) == ["A"]
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize("preemptions", [0, 1, 2])
def test_what_is_left_out_would_have_shown_nothing_new(preemptions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def traces() -> tuple[set[str], int]:
        seen: set[str] = set()

        def run(chooser: Chooser) -> list[str]:
            programme = Programme(chooser, cancelled="B")
            lock = asyncio.Lock()

            async def steps(name: str) -> None:
                async with lock:
                    programme.notes.append(name)
                    await asyncio.sleep(0)
                await asyncio.get_running_loop().create_task(child(name.lower()))

            async def child(name: str) -> None:
                programme.notes.append(name)

            programme.play(A=steps, B=steps, C=steps)
            seen.add("".join(programme.notes) + str(programme.tasks["B"].cancelled()))
            return []

        whole = Search(run, preemptions, 60)
        assert list(whole) == []
        assert whole.progress.exhausted
        return seen, whole.progress.tried

    pruned, few = traces()
    monkeypatch.setattr(search, "_equals_a_later_one", lambda *_: False)
    everything, many = traces()
    assert pruned == everything
    assert few < many or preemptions == 0


def test_budget_ends_a_search_that_is_not_exhausted() -> None:
    whole = Search(lost_update, 2, 0.0)
    assert list(whole) == []
    assert (whole.progress.exhausted, whole.progress.tried) == (False, 0)


def test_run_that_is_not_under_control_is_noticed() -> None:
    turns = iter(range(100))

    def run(chooser: Chooser) -> list[str]:
        for _ in range(3 if next(turns) == 0 else 1):
            chooser.choose(["a", "b"], False, 0)
        return []

    with pytest.raises(RuntimeError, match="not under control"):
        list(Search(run, 0, 60))
