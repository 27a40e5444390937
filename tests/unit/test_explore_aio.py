"""The event loop under control and the search, on small programmes without Airflow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from airflow_stress_explore.aio import Actor, Event, Recorder, ReplayByPosition, Testbed, search
from airflow_stress_explore.aio.kernel import GO_ON
from airflow_stress_explore.aio.threads import ControlledLock
from airflow_stress_explore.core import Failure


class Programme(Testbed):
    """Tasks that start when the schedule says so, and leave notes; some may be cancelled."""

    def __init__(self, scheduler: ReplayByPosition, cancelled: str = "") -> None:
        super().__init__([], scheduler)
        self.notes: list[str] = []
        self.may_cancel = cancelled

    def play(self, **actors: Callable[[str], Coroutine[Any, Any, Any]]) -> list[Failure]:
        """Run all of them to the end, or to where nothing can go on; gives those that hang."""
        self.actors = [Actor(name, run, name in self.may_cancel) for name, run in actors.items()]
        return [failure for failure in self.run() if failure.invariant == "hung"]


def names(failures: Sequence[Failure]) -> list[str]:
    """The actors that hang."""
    return [failure.detail.partition(" ")[0] for failure in failures]


def lost_update(scheduler: ReplayByPosition) -> list[Failure]:
    """Two tasks read a number, wait, and write it plus one."""
    programme = Programme(scheduler)
    number = 0

    async def add(_name: str) -> None:
        nonlocal number
        seen = number
        await asyncio.sleep(0)
        number = seen + 1

    programme.play(A=add, B=add)
    return [] if number == 2 else [Failure("lost_update", f"the sum is {number}")]


def test_lost_update_needs_one_preemption() -> None:
    assert list(search(lost_update, 0, 60)) == []
    found = list(search(lost_update, 1, 60))
    assert found
    assert {failure for one in found for failure in one.failures} == {Failure("lost_update", "the sum is 1")}
    assert {one.preemptions for one in found} == {1}


def test_failing_schedule_fails_again_from_its_string() -> None:
    found = next(iter(search(lost_update, 1, 60)))
    for _ in range(20):
        assert lost_update(ReplayByPosition.of(found.schedule)) == found.failures


def test_ready_handles_keep_the_order_that_asyncio_promises() -> None:
    """Swapping them would be a false alarm."""

    def run(scheduler: ReplayByPosition) -> list[Failure]:
        programme = Programme(scheduler)

        async def both(_name: str) -> None:
            for note in "12":
                asyncio.get_running_loop().call_soon(programme.notes.append, note)

        programme.play(A=both)
        return [] if programme.notes == ["1", "2"] else [Failure("order", "swapped")]

    whole = search(run, 3, 60)
    assert list(whole) == []
    assert whole.progress.exhausted


def test_cancellation_strikes_at_every_await() -> None:
    outcomes: set[tuple[str, ...]] = set()

    def run(scheduler: ReplayByPosition) -> list[Failure]:
        programme = Programme(scheduler, cancelled="A")

        async def three(_name: str) -> None:
            for note in "123":
                programme.notes.append(note)
                await asyncio.sleep(0)

        programme.play(A=three)
        outcomes.add((*programme.notes, "cancelled" if programme.tasks["A"].cancelled() else "ended"))
        return []

    assert list(search(run, 1, 60)) == []
    assert outcomes == {
        ("1", "cancelled"),
        ("1", "2", "cancelled"),
        ("1", "2", "3", "cancelled"),
        ("1", "2", "3", "ended"),
    }


def test_deadlock_is_told_at_once() -> None:
    """Nobody waits for a clock: nothing can go on, and that is the finding."""

    def run(scheduler: ReplayByPosition) -> list[Failure]:
        programme = Programme(scheduler)
        first, second = asyncio.Lock(), asyncio.Lock()
        locks = {"A": (first, second), "B": (second, first)}

        async def take(name: str) -> None:
            one, other = locks[name]
            async with one:
                await asyncio.sleep(0)
                async with other:
                    pass

        return programme.play(A=take, B=take)

    failing = list(search(run, 1, 60))
    assert [set(names(one.failures)) for one in failing] == [{"A", "B"}] * len(failing)
    assert failing


def test_loop_that_blocks_its_own_thread_is_told() -> None:
    """A thread lock held across an await: the second task blocks the only thread that could release it."""

    def run(scheduler: ReplayByPosition) -> list[Failure]:
        programme = Programme(scheduler)
        lock = ControlledLock()

        async def hold(_name: str) -> None:
            with lock:
                await asyncio.sleep(0)

        hung = programme.play(A=hold, B=hold)
        assert programme.loop.in_handle == bool(hung)
        return hung

    assert run(ReplayByPosition()) == [], "one after the other"
    assert list(search(run, 1, 60))


def test_threads_are_handed_over_one_at_a_time() -> None:
    """A race of two threads for a number that their loop hands them, and not one that Python's own switches make."""
    sums: set[int] = set()

    def run(scheduler: ReplayByPosition) -> list[Failure]:
        programme = Programme(scheduler)
        number = 0

        async def read() -> int:
            return number

        def add() -> None:
            nonlocal number
            seen = asyncio.run_coroutine_threadsafe(read(), programme.loop).result()
            number = seen + 1

        async def in_thread(_name: str) -> None:
            await asyncio.to_thread(add)

        assert programme.play(A=in_thread, B=in_thread) == []
        sums.add(number)
        return []

    whole = search(run, 1, 60)
    assert list(whole) == []
    assert whole.progress.exhausted
    assert sums == {1, 2}


def test_thread_that_waits_for_ever_is_told_and_given_back() -> None:
    def run(scheduler: ReplayByPosition) -> list[Failure]:
        programme = Programme(scheduler)

        async def in_thread(_name: str) -> None:
            await asyncio.to_thread(lambda: threading.Condition().__enter__() and threading.Event().wait())

        return programme.play(A=in_thread)

    before = threading.active_count()
    for _ in range(5):
        assert names(run(ReplayByPosition())) == ["A"]
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize("preemptions", [0, 1, 2])
def test_what_is_left_out_would_have_shown_nothing_new(preemptions: int) -> None:
    def traces(pruning: bool) -> tuple[set[str], int]:
        seen: set[str] = set()

        def run(scheduler: ReplayByPosition) -> list[Failure]:
            programme = Programme(scheduler, cancelled="B")
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

        whole = search(run, preemptions, 60, pruning=pruning)
        assert list(whole) == []
        assert whole.progress.exhausted
        return seen, whole.progress.tried

    pruned, few = traces(True)
    everything, many = traces(False)
    assert pruned == everything
    assert few < many or preemptions == 0


def test_budget_ends_a_search_that_is_not_exhausted() -> None:
    whole = search(lost_update, 2, 0.0)
    assert list(whole) == []
    assert (whole.progress.exhausted, whole.progress.tried) == (False, 0)


def test_run_that_is_not_under_control_is_noticed() -> None:
    turns = iter(range(100))

    def run(scheduler: ReplayByPosition) -> list[Failure]:
        for _ in range(3 if next(turns) == 0 else 1):
            scheduler.choose([GO_ON, GO_ON], False)
        return []

    with pytest.raises(RuntimeError, match="not under control"):
        list(search(run, 0, 60))


class Client(Testbed):
    """Requests that are answered from outside, in the order in which they were sent, as README.md shows it."""

    def __init__(self, scheduler: ReplayByPosition, *, careless: bool = False) -> None:
        actors = [Actor("A", self.request, operation="request"), Actor("B", self.request, cancellable=True)]
        super().__init__(actors, scheduler)
        self.careless = careless
        self.waiting: list[asyncio.Future[str]] = []
        self.sent: list[str] = []

    async def request(self, name: str) -> None:
        future = self.loop.create_future()
        self.waiting.append(future)
        self.sent.append(name)
        if await future != name:
            self.fail("wrong_answer", f"{name} got another request's answer")

    def events(self) -> list[Event]:
        return [*super().events(), Event("answer", lambda: bool(self.sent), self.answer)]

    def answer(self) -> None:
        name = self.sent.pop(0)
        if self.careless:
            # The next request that still waits gets the answer, whoever sent it.
            self.waiting = [future for future in self.waiting if not future.done()]
            if self.waiting:
                self.waiting.pop(0).set_result(name)
        else:
            future = self.waiting.pop(0)
            if not future.done():
                future.set_result(name)


def test_an_answer_that_goes_to_another_request_is_found_and_replayed_with_its_steps() -> None:
    found = next(iter(search(lambda scheduler: Client(scheduler, careless=True).run(), 2, 60)))
    assert "wrong_answer" in {failure.invariant for failure in found.failures}
    client = Client(ReplayByPosition.of(found.schedule), careless=True)
    client.observer = recorder = Recorder()
    assert client.run() == found.failures
    recorder.finish()
    told = [(row.actor, row.what, row.outcome) for row in recorder.rows]
    assert ("B", "its cancellation is asked for", None) in told
    assert ("B", "goes on", "is cancelled") in told
    assert ("outside", "answer", None) in told
    assert next(row.operation for row in recorder.rows if row.actor == "A") == "request"


def test_a_careful_client_has_no_schedule_that_fails() -> None:
    whole = search(lambda scheduler: Client(scheduler).run(), 2, 60)
    assert list(whole) == []
    assert whole.progress.exhausted
    assert whole.progress.tried > 10


def run_of(actor: Callable[[str], Coroutine[Any, Any, Any]], *, cancellable: bool = False) -> list[set[Failure]]:
    """The failures of all schedules of one actor."""
    whole = search(lambda scheduler: Testbed([Actor("A", actor, cancellable)], scheduler).run(), 2, 60)
    return [set(found.failures) for found in whole]


def test_an_actor_that_raises_is_an_error() -> None:
    async def fails(_name: str) -> None:
        raise ValueError("no such key")

    assert run_of(fails) == [{Failure("error", "A: ValueError: no such key")}]


def test_an_actor_that_swallows_its_cancellation_loses_it() -> None:
    async def swallows(_name: str) -> None:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            await asyncio.sleep(0)

    assert {Failure("cancellation_lost", "A was cancelled, and went on to its end")} in run_of(
        swallows, cancellable=True
    )


def test_an_actor_that_is_cancelled_from_inside_is_unexpected() -> None:
    async def cancels_itself(_name: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    assert run_of(cancels_itself) == [{Failure("unexpected_cancellation", "A was cancelled without a request for it")}]


@pytest.mark.parametrize(("operation", "first"), [("", {"A", "B"}), ("the same", {"A"})])
def test_actors_of_one_operation_start_in_their_order(operation: str, first: set[str]) -> None:
    started: set[str] = set()

    def run(scheduler: ReplayByPosition) -> list[Failure]:
        order: list[str] = []

        async def notes(name: str) -> None:
            order.append(name)

        failures = Testbed([Actor(name, notes, operation=operation) for name in "AB"], scheduler).run()
        started.add(order[0])
        return failures

    assert list(search(run, 2, 60)) == []
    assert started == first


def test_the_clock_only_moves_when_the_schedule_says_so() -> None:
    times: list[float] = []

    async def sleeps(_name: str) -> None:
        await asyncio.sleep(3600)
        times.append(asyncio.get_running_loop().time())

    assert run_of(sleeps) == []
    assert set(times) == {3600.0}
