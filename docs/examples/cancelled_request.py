"""A worked example of the schedule explorer on asyncio: a request that is cancelled while its answer is on the way.

    python docs/examples/cancelled_request.py

Clients share a connection, whose answers come in the order of the requests. A lock lets one client use it at a time. If
a client is cancelled while it waits, it releases the lock, and its answer arrives all the same.

    TrustingConnection   Wrong: the next client takes the late answer for its own.
    CheckingConnection   Correct: answers carry the number of their request, and late ones are dropped.

Both are explored twice: with a client that the scheduler may cancel at any of its awaits, and with a client that
limits its request by `asyncio.timeout`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from examples_support import BUDGET_S, PREEMPTIONS, Explored

from airflow_stress_explore.aio import Actor, Event, ReplayByPosition, Testbed, search

# -- the program ---------------------------------------------------------------------------------------------------

PATIENCE_S = 5.0


class TrustingConnection:
    """Takes the next answer for the answer to its request."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self.answers: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._lock = asyncio.Lock()
        self._numbers = itertools.count(1)

    async def ask(self, question: str) -> str:
        """The answer of the server, which repeats the question."""
        async with self._lock:
            number = next(self._numbers)
            await self.requests.put((number, question))
            return await self._answer_to(number)

    async def _answer_to(self, number: int) -> str:  # noqa: ARG002 - that it is not looked at is the defect
        return (await self.answers.get())[1]


class CheckingConnection(TrustingConnection):
    """Drops the answers to requests that were given up."""

    async def _answer_to(self, number: int) -> str:
        while (answer := await self.answers.get())[0] != number:
            pass
        return answer[1]


VERSIONS: dict[str, Callable[[], TrustingConnection]] = {
    version.__name__: version for version in (TrustingConnection, CheckingConnection)
}


async def ask_with_timeout(connection: TrustingConnection, question: str) -> str:
    """Ask, and give up after a while."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await connection.ask(question)
    except TimeoutError:
        return "no answer"


# -- its exploration -----------------------------------------------------------------------------------------------


class TwoClients(Testbed):
    """One run: client A may be cancelled or give up, and client B must get its answer."""

    def __init__(
        self, scheduler: ReplayByPosition, connect: Callable[[], TrustingConnection], *, timeout: bool = False
    ) -> None:
        super().__init__([Actor("A", self.client, cancellable=not timeout), Actor("B", self.client)], scheduler)
        self.happened: list[str] = []
        """The events from outside, in their order."""

        self._timeout = timeout
        self._connection = connect()

    def prepare(self) -> None:
        """Watch the events."""
        self.kernel.on_event = lambda event: self.happened.append(event.name)

    async def client(self, name: str) -> None:
        """Ask for one's own name."""
        limited = self._timeout and name == "A"
        answer = await (ask_with_timeout(self._connection, name) if limited else self._connection.ask(name))
        if answer not in ((name, "no answer") if limited else (name,)):
            self.fail("wrong_answer", f"{name} got the answer to {answer}")

    def events(self) -> list[Event]:
        """Besides starts, the cancellation and the clock: the server answers a request, at any time."""
        requests = self._connection.requests
        return [*super().events(), Event("answer", lambda: not requests.empty(), self._serve)]

    def _serve(self) -> None:
        self._connection.answers.put_nowait(self._connection.requests.get_nowait())


def explore(name: str, *, timeout: bool) -> Explored:
    """Try every schedule, and print the first that fails."""

    def testbed(scheduler: ReplayByPosition) -> TwoClients:
        return TwoClients(scheduler, VERSIONS[name], timeout=timeout)

    found = search(lambda scheduler: testbed(scheduler).run(), PREEMPTIONS, BUDGET_S)
    failing = [one.schedule for one in found]
    what = "timed out" if timeout else "cancelled"
    print(f"{name}, {what}: {found.progress.tried} schedules tried, {len(failing)} failed")
    for schedule in failing[:1]:
        played = testbed(ReplayByPosition.of(schedule))
        failures = played.run()
        print(f"  {schedule}: {', '.join(played.happened)}")
        print(f"  {', '.join(failure.detail for failure in failures)}")
    return Explored(found.progress.tried, {"wrong_answer": failing} if failing else {}, found.progress.exhausted)


def main() -> None:
    """Explore each version."""
    for timeout in (False, True):
        for name in VERSIONS:
            explore(name, timeout=timeout)


if __name__ == "__main__":
    main()
