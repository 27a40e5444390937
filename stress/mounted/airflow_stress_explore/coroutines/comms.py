"""The stage: a real trigger runner's comms over a real socket pair, a supervisor, callers, and what must hold.

::

    callers (actors)  ->  the release's TriggerCommsDecoder  ->  socket pair  ->  Supervisor (stepped by the schedule)

What must hold, in every schedule:

    out_of_order_frame       no reader gets a frame that is another one's
    different_loop           no caller is told that a lock or future belongs to another event loop
    wrong_answer             an answer reaches the request with its id
    runner_hung              no request waits for ever, and the loop's thread never stands still
    unexpected_cancellation  only a caller that was cancelled is
    unexpected_error         no request fails otherwise
    cancellation_lost        a caller that was cancelled ends, and ends so

When all callers are done the runner itself asks twice (`TriggerRunner.sync_state_to_supervisor`), with the same
demands: what a cancelled caller leaves behind must not reach anybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import enum
import functools
import gc
import importlib
import os
import re
import socket
import warnings
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .loop import ControlledLoop
from .schedule import Chooser
from .threads import Executors, take_over_locks, under_control
from .world import AbandonedError, Event, World

if TYPE_CHECKING:
    from .witness import Recorder

RUNNER = "airflow.jobs.triggerer_job_runner"
COMMS = "airflow.sdk.execution_time.comms"

ACTOR: contextvars.ContextVar[str] = contextvars.ContextVar("actor", default="loop")
OPERATION: contextvars.ContextVar[str] = contextvars.ContextVar("operation", default="")

Operation = Callable[["Stage", str], Coroutine[Any, Any, Any]]


@dataclass(frozen=True)
class Failure:
    """An invariant that a schedule broke."""

    invariant: str
    detail: str


@dataclass(frozen=True)
class Actor:
    """A caller: what it does, and whether the schedule may cancel it (once, at any of its awaits)."""

    name: str
    operation: str
    cancelled: bool = False
    after: str | None = None
    """Another actor: this one starts when that one has started."""


class Goes(enum.Enum):
    """Whether the supervisor ends."""

    NEVER = "never"
    PERHAPS = "perhaps"
    AT_LAST = "at last"


ROUNDS = 2
"""How often time passes before a supervisor that ends at last has to."""


@dataclass(frozen=True)
class Pair:
    """Callers that meet."""

    name: str
    summary: str
    actors: tuple[Actor, ...]
    split_answers: bool = False
    """The supervisor's answers come in two pieces, as big ones do."""
    supervisor_goes: Goes = Goes.NEVER
    """Whether the supervisor ends at any time; a request may fail then, but not wait for ever."""
    probe: bool = True
    """Whether the runner asks when all is over."""


class UnknownOperationError(LookupError):
    """This release has no such thing: the message names what an operation needs and didn't find."""


class Supervisor:
    """The other end of the socket: answers one request a step, in the order in which they came, as Airflow's does."""

    def __init__(self, end: socket.socket, split: bool) -> None:
        self.end = end
        self.end.setblocking(False)
        self.split = split
        self.gone = False
        self.received = bytearray()
        self.requests: list[Any] = []
        self.rest = b""
        self.last = -1
        """Which frame it answered last."""
        comms = importlib.import_module(COMMS)
        self._frame = comms._ResponseFrame
        self._decode = _request_decoder()

    def take(self) -> list[Any]:
        """Read what is there; gives the requests that are complete now."""
        if self.gone:
            return []
        try:
            self.received += self.end.recv(1 << 20)
        except BlockingIOError:
            return []
        except ConnectionError:
            self.gone = True
            return []
        new = []
        while len(self.received) >= 4:
            length = int.from_bytes(self.received[:4], "big")
            if len(self.received) < 4 + length:
                break
            new.append(self._decode(bytes(self.received[4 : 4 + length])))
            del self.received[: 4 + length]
        self.requests += new
        return new

    def can_answer(self) -> bool:
        """Whether a request, or the rest of an answer, is waiting."""
        if self.gone:
            return False
        if not self.requests and not self.rest:
            self.take()
        return bool(self.requests or self.rest)

    def answer(self) -> None:
        """Send one answer, or one piece of it."""
        if self.rest:
            self.end.sendall(self.rest)
            self.rest = b""
            return
        request = self.requests.pop(0)
        self.last = request.id
        encoded = bytes(self._frame(id=request.id, body=_answer(request.body)).as_bytes())
        if self.split:
            # Behind the length and into the frame's body.
            encoded, self.rest = encoded[:6], encoded[6:]
        self.end.sendall(encoded)

    def greet(self) -> None:
        """The first message, which nobody asked for, with the id of the first request."""
        messages = importlib.import_module(RUNNER).messages
        self.end.sendall(self._frame(id=0, body=messages.StartTriggerer().model_dump()).as_bytes())

    def hang_up(self) -> None:
        """End, as a supervisor that was killed."""
        self.gone = True
        self.end.close()


def _answer(body: dict[str, Any]) -> dict[str, Any]:
    if body["type"] == "GetVariable":
        return {"type": "VariableResult", "key": body["key"], "value": body["key"]}
    if body["type"] == "TriggerStateChanges":
        return {"type": "TriggerStateSync", "to_create": [], "to_cancel": []}
    raise LookupError(f"the supervisor here doesn't know the request {body['type']}")


@functools.cache
def _request_decoder() -> Callable[[bytes], Any]:
    msgspec = importlib.import_module("msgspec")
    decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder(importlib.import_module(COMMS)._RequestFrame).decode
    return decode


class Stage:
    """One run of a pair under one schedule. Make a new one each time, inside of `theatre()`."""

    def __init__(self, pair: Pair, operations: dict[str, Operation], chooser: Chooser) -> None:
        self.pair = pair
        self.operations = operations
        self.world = World(chooser)
        self.executors = Executors(self.world, _forget_thread)
        self.loop: ControlledLoop = ControlledLoop(self.world, self.executors)
        self.supervisor: Supervisor = None  # type: ignore[assignment] # made by run()
        self.runner: Any = None
        self.comms: Any = None
        self.locks: list[str] = []
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        self.cancelled: set[str] = set()
        self.probing = False
        self.rounds = 0
        self.failures: list[Failure] = []
        self.recorder: Recorder | None = None
        """Set, if the run is to be told."""

    def run(self) -> list[Failure]:
        """Play it; gives what broke. Raises what isn't the release's fault."""
        theirs, mine = socket.socketpair()
        self.supervisor = Supervisor(mine, self.pair.split_answers)
        try:
            os.dup2(theirs.fileno(), 0)
            theirs.close()
            with under_control(self.world, self.executors), _executors_of_asgiref(self.executors):
                try:
                    self._play()
                finally:
                    self.world.unwind()
        finally:
            self._strike()
        if self.world.error is not None:
            raise self.world.error
        self._judge()
        return self.failures

    def _play(self) -> None:
        self.runner = importlib.import_module(RUNNER).TriggerRunner()
        self.supervisor.greet()
        # The socket is the descriptor 0, as in a real triggerer.
        self.loop.run_until_complete(self.runner.init_comms())
        self.comms = self.runner.comms_decoder
        self.locks = take_over_locks(self.comms, attributes(self.comms))
        world = self.world
        world.events = self._events()
        world.on_quiet = self._quiet
        world.appended = self.loop.appended
        if self.recorder is not None:
            self.recorder.attach(self)
        world.choosing = True
        self.loop.run_forever()

    def _events(self) -> list[Event]:
        events = [Event("answer", self._can_answer, self._answer, socket_only=True)]
        same: dict[tuple[str, bool], str] = {}
        for actor in self.pair.actors:
            # Callers that do the same are one as good as the other: they start in the order of their names.
            kind = (actor.operation, actor.cancelled)
            before = actor.after or same.get(kind)
            same[kind] = actor.name
            events.append(
                Event(
                    f"start {actor.name}",
                    functools.partial(self._can_start, actor.name, before),
                    functools.partial(self._start, actor.name, actor.operation),
                    tail=True,
                    once=True,
                )
            )
        events.append(Event("time passes", self._has_timer, self._pass_time))
        events += [
            Event(
                f"cancel {actor.name}",
                functools.partial(self._can_cancel, actor.name),
                functools.partial(self._cancel, actor.name),
                tail=True,
                optional=True,
                once=True,
            )
            for actor in self.pair.actors
            if actor.cancelled
        ]
        if self.pair.supervisor_goes is not Goes.NEVER:
            optional = self.pair.supervisor_goes is Goes.PERHAPS
            events.append(Event("supervisor ends", self._can_hang_up, self._hang_up, optional=optional, once=True))
        return events

    def _can_answer(self) -> bool:
        return self.loop.at_the_socket() and self.supervisor.can_answer()

    def _answer(self) -> None:
        self.supervisor.answer()
        self.loop.maybe_readable = True

    def _can_start(self, name: str, before: str | None) -> bool:
        return name not in self.tasks and (before is None or before in self.tasks)

    def _start(self, name: str, operation: str) -> None:
        self.start(name, operation, self.operations[operation](self, name))

    def start(self, name: str, operation: str, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Make a task that the witness knows by its actor's name."""
        context = contextvars.copy_context()
        context.run(ACTOR.set, name)
        context.run(OPERATION.set, operation)
        self.tasks[name] = context.run(self.loop.create_task, coroutine)

    def _can_cancel(self, name: str) -> bool:
        task = self.tasks.get(name)
        return task is not None and not task.done() and not self.probing

    def _cancel(self, name: str) -> None:
        context = contextvars.copy_context()
        context.run(ACTOR.set, name)
        context.run(OPERATION.set, "is cancelled")
        self.loop.call_soon(self._cancel_task, name, context=context)

    def _cancel_task(self, name: str) -> None:
        # False: it had ended meanwhile, and nobody may expect anything of it.
        if self.tasks[name].cancel():
            self.cancelled.add(name)

    def _has_timer(self) -> bool:
        due = self.loop.next_timer_s()
        if due is None or due <= self.world.now_s:
            return False
        return self.rounds < ROUNDS or self.supervisor.gone or self.pair.supervisor_goes is not Goes.AT_LAST

    def _pass_time(self) -> None:
        self.rounds += 1
        self.world.now_s = self.loop.next_timer_s() or self.world.now_s

    def _can_hang_up(self) -> bool:
        return not self.supervisor.gone and not self.probing

    def _hang_up(self) -> None:
        self.supervisor.hang_up()
        self.loop.maybe_readable = True

    def _quiet(self) -> bool:
        """Nothing is left to happen: let the runner ask, or end."""
        if all(task.done() for task in self.tasks.values()) and self.pair.probe and not self.probing:
            self.probing = True
            self.world.choosing = False
            self.start("runner", "state sync", self._probe())
            return True
        return False

    async def _probe(self) -> None:
        for _ in range(2):
            await self.runner.sync_state_to_supervisor([])

    def _judge(self) -> None:
        for name, task in self.tasks.items():
            if not self.ended(task):
                where = (
                    "the loop's own thread waits for a lock"
                    if self.loop.in_handle
                    else "nothing is left that could wake it"
                )
                self.fail("runner_hung", f"{name} waits for ever: {where}")
            elif task.cancelled():
                if name not in self.cancelled and not self.supervisor.gone:
                    self.fail("unexpected_cancellation", f"{name} was cancelled, and nobody asked for it")
            elif (error := task.exception()) is not None:
                if not self.supervisor.gone:
                    self.fail(_invariant_of(error), f"{name}: {describe(error)}")
            elif name in self.cancelled:
                self.fail("cancellation_lost", f"{name} was cancelled, and went on to its end")

    @staticmethod
    def ended(task: asyncio.Task[Any]) -> bool:
        """Whether a task came to its own end, and not to the run's."""
        return task.done() and (task.cancelled() or not isinstance(task.exception(), AbandonedError))

    def check(self, name: str, key: str, reply: Any) -> None:
        """Compare an answer with its question."""
        if getattr(reply, "value", None) != key:
            self.fail("wrong_answer", f"{name} asked for {key}, and got {reply!r}")

    def fail(self, invariant: str, detail: str) -> None:
        """Note a failure."""
        self.failures.append(Failure(invariant, detail))

    def _strike(self) -> None:
        """Take the stage down, whatever state the run left it in."""
        comms = self.comms
        if comms is not None:
            # Two socket objects own the descriptor 0, and would close it when they are collected: in another run.
            comms.socket.detach()
            ours = comms._async_writer.transport._sock
            if ours is not None:
                ours.detach()
        os.dup2(_saved_stdin, 0)
        self.supervisor.end.close()
        self.loop.abandon()


def _invariant_of(error: BaseException) -> str:
    text = str(error)
    if "out of order" in text:
        return "out_of_order_frame"
    if "different event loop" in text or "different loop" in text:
        return "different_loop"
    return "unexpected_error"


def describe(error: BaseException) -> str:
    """An error's class and words, without what differs from run to run and from machine to machine."""
    return f"{type(error).__name__}: {re.sub(r'<(Task|Future) .*>', r'<...>', str(error))}"


def attributes(owner: Any) -> list[str]:
    """Names of what an instance holds, with or without slots."""
    names = list(getattr(owner, "__dict__", ()))
    for cls in type(owner).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    return [name for name in names if not name.startswith("__")]


_saved_stdin = -1
"""Where the process's own standard input is while a runner has its descriptor; set by `theatre`."""


def _save_stdin() -> int:
    try:
        return os.dup(0)
    except OSError:  # started without one
        return os.open(os.devnull, os.O_RDONLY)


def _forget_thread() -> None:
    """Asgiref keeps in a thread which loop it last worked for; each run's threads are new ones."""
    importlib.import_module("asgiref.sync").SyncToAsync.threadlocal.__dict__.clear()


@contextlib.contextmanager
def _executors_of_asgiref(executors: Executors) -> Iterator[None]:
    sync: Any = importlib.import_module("asgiref.sync")
    stock = sync.ThreadPoolExecutor
    sync.ThreadPoolExecutor = executors.new
    try:
        yield
    finally:
        sync.ThreadPoolExecutor = stock


class _RememberedSettings:
    """Airflow's configuration, each question asked once."""

    def __init__(self, settings: Any) -> None:
        self._settings = settings

    def __getattr__(self, name: str) -> Any:
        remembered = functools.cache(getattr(self._settings, name))
        setattr(self, name, remembered)
        return remembered


@contextlib.contextmanager
def theatre() -> Iterator[None]:
    """Import Airflow and make repeated runs cheap and quiet. Runs are only possible inside."""
    global _saved_stdin  # noqa: PLW0603 - there is one descriptor 0
    structlog: Any = importlib.import_module("structlog")
    runner: Any = importlib.import_module(RUNNER)
    comms: Any = importlib.import_module(COMMS)
    importlib.import_module("asgiref.sync")
    _saved_stdin = _save_stdin()
    stock = runner.TypeAdapter, comms.TypeAdapter, runner.conf
    # Each decoder builds two validators of its own, which takes longer than a hundred schedules. They hold no state.
    memo = functools.cache(stock[0])
    runner.TypeAdapter = comms.TypeAdapter = memo
    # Each runner reads the same four settings.
    runner.conf = _RememberedSettings(runner.conf)
    logging = structlog.get_config()
    structlog.configure(
        processors=[], wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False
    )
    # A million objects of Airflow's that live as long as the process: no collection need look at them.
    gc.collect()
    gc.freeze()
    try:
        with warnings.catch_warnings():
            # Runs that end in the middle leave coroutines and sockets to the collector.
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.simplefilter("ignore", ResourceWarning)
            yield
    finally:
        gc.unfreeze()
        os.close(_saved_stdin)
        structlog.configure(**logging)
        runner.TypeAdapter, comms.TypeAdapter, runner.conf = stock
