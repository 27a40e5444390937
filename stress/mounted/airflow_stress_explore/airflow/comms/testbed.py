"""The testbed of the triggerer's comms: a real runner's comms over a real socket pair, a supervisor, and callers.

::

    callers  ->  the release's TriggerCommsDecoder  ->  socket pair  ->  Supervisor (stepped by the schedule)

What is real and what is controlled
    The release's own ``TriggerRunner.init_comms``, ``TriggerCommsDecoder`` and frames, over a real socket pair,
    with asyncio's own tasks, streams and transports, and asgiref's bridges in real threads. Controlled are the
    things that a schedule decides: when a caller starts, when the supervisor answers, when a caller is cancelled, when
    time passes, and which thread runs. No wait is for a clock: when nothing can go on, that *is* the finding (a hang).

What must hold, in every schedule, besides the invariants of ``aio/testbed.py`` (``hung`` is named ``runner_hung``)::

    out_of_order_frame  no reader gets a frame of another request
    different_loop      no caller gets the error that a lock or future belongs to another event loop
    wrong_answer        an answer reaches the request with its id
    unexpected_error    no request fails otherwise

When all callers are done, the runner itself asks twice (``TriggerRunner.sync_state_to_supervisor``), with the same
invariants: what a cancelled caller leaves behind must not reach another one.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from airflow_stress_explore.aio.kernel import Event
from airflow_stress_explore.aio.testbed import Actor, Testbed
from airflow_stress_explore.aio.threads import take_over_locks
from airflow_stress_explore.airflow.comms.pairs import CommsPair, SupervisorEnds
from airflow_stress_explore.airflow.comms.supervisor import RUNNER, Supervisor
from airflow_stress_explore.airflow.comms.surroundings import executors_of_asgiref, forget_thread, restore_stdin
from airflow_stress_explore.core.failure import Failure
from airflow_stress_explore.core.schedulers import Option, Scheduler

Operation = Callable[["CommsTestbed", str], Coroutine[Any, Any, Any]]

ROUNDS = 2
"""Clock advances allowed before a supervisor that ends eventually is forced to end."""


class CommsTestbed(Testbed):
    """One run of a pair under one schedule. Make a new one each time, inside of `surroundings.runs_prepared()`."""

    HUNG = "runner_hung"

    def __init__(self, pair: CommsPair, operations: Mapping[str, Operation], scheduler: Scheduler[Option]) -> None:
        actors = [
            Actor(caller.name, self._coroutine_of(operations[caller.operation]), caller.cancellable, caller.operation)
            for caller in pair.callers
        ]
        super().__init__(actors, scheduler, forget_thread)
        self.pair = pair
        self.supervisor: Supervisor = None  # type: ignore[assignment] # made by run()
        self.runner: Any = None
        self.comms: Any = None
        self.locks: list[str] = []
        self.probing = False
        self.rounds = 0

    def run(self) -> list[Failure]:
        """Play it; gives what it violates. Raises an error of the testbed itself."""
        theirs, mine = socket.socketpair()
        self.supervisor = Supervisor(mine, self.pair.split_answers)
        # The socket is the descriptor 0, as in a real triggerer.
        os.dup2(theirs.fileno(), 0)
        theirs.close()
        return super().run()

    @contextlib.contextmanager
    def surroundings(self) -> Iterator[None]:
        """The threads of asgiref's bridges are controlled ones."""
        with executors_of_asgiref(self.executors):
            yield

    def prepare(self) -> None:
        """A runner with its comms, connected to the supervisor."""
        self.runner = importlib.import_module(RUNNER).TriggerRunner()
        self.supervisor.greet()
        self.loop.run_until_complete(self.runner.init_comms())
        self.comms = self.runner.comms_decoder
        self.locks = take_over_locks(self.comms, attributes(self.comms))

    def events(self) -> list[Event]:
        """What may happen from outside; the supervisor's answers, and its end."""
        events = [Event("answer", self._can_answer, self._answer, socket_only=True), *super().events()]
        if self.pair.supervisor_ends is not SupervisorEnds.NEVER:
            optional = self.pair.supervisor_ends is SupervisorEnds.AT_ANY_TIME
            events.append(Event("supervisor ends", self._can_hang_up, self._hang_up, optional=optional, once=True))
        return events

    def on_quiet(self) -> bool:
        """When all callers are done, the runner asks."""
        if all(task.done() for task in self.tasks.values()) and self.pair.probe and not self.probing:
            self.probing = True
            self.kernel.choosing = False
            self.start("runner", "state sync", self._probe())
            return True
        return False

    def can_cancel(self, name: str) -> bool:
        """Not while the runner asks."""
        return super().can_cancel(name) and not self.probing

    def can_pass_time(self) -> bool:
        """Only some times before a supervisor ends that ends eventually."""
        if not super().can_pass_time():
            return False
        eventually = self.pair.supervisor_ends is SupervisorEnds.EVENTUALLY
        return self.rounds < ROUNDS or self.supervisor.gone or not eventually

    def pass_time(self) -> None:
        """Set the clock to the next timer."""
        self.rounds += 1
        super().pass_time()

    def invariant_of(self, error: BaseException) -> str | None:
        """By the text of the error; a request may fail after the supervisor's end."""
        if self.supervisor.gone:
            return None
        text = str(error)
        if "out of order" in text:
            return "out_of_order_frame"
        if "different event loop" in text or "different loop" in text:
            return "different_loop"
        return "unexpected_error"

    def may_be_cancelled(self, name: str) -> bool:
        """Also any caller after the supervisor's end."""
        return super().may_be_cancelled(name) or self.supervisor.gone

    def check(self, name: str, key: str, reply: Any) -> None:
        """Compare an answer with its request."""
        if getattr(reply, "value", None) != key:
            self.fail("wrong_answer", f"{name} asked for {key}, and got {reply!r}")

    def tear_down(self) -> None:
        """Close the sockets, and give the descriptor 0 back."""
        comms = self.comms
        if comms is not None:
            # Two socket objects own the descriptor 0, and would close it when they are collected: in another run.
            comms.socket.detach()
            ours = comms._async_writer.transport._sock
            if ours is not None:
                ours.detach()
        restore_stdin()
        self.supervisor.end.close()
        super().tear_down()

    def _coroutine_of(self, operation: Operation) -> Callable[[str], Coroutine[Any, Any, Any]]:
        return lambda name: operation(self, name)

    def _can_answer(self) -> bool:
        return self.loop.at_the_socket() and self.supervisor.can_answer()

    def _answer(self) -> None:
        self.supervisor.answer()
        self.loop.maybe_readable = True

    def _can_hang_up(self) -> bool:
        return not self.supervisor.gone and not self.probing

    def _hang_up(self) -> None:
        self.supervisor.hang_up()
        self.loop.maybe_readable = True

    async def _probe(self) -> None:
        for _ in range(2):
            await self.runner.sync_state_to_supervisor([])


def attributes(owner: Any) -> list[str]:
    """Names of an instance's attributes, with or without slots."""
    names = list(getattr(owner, "__dict__", ()))
    for cls in type(owner).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    return [name for name in names if not name.startswith("__")]
