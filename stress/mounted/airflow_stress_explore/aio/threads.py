"""Threads that are handed over one at a time, and the locks that they wait for.

They are real threads, because thread-local data and ``asyncio.get_running_loop`` mean something in them; only one of
them runs at any moment. Everything in the standard library that blocks a thread and is written in Python
(``Condition``, ``Future.result``, ``Queue``) ends in a lock from ``threading``, so that replacing the two names under
which it makes them brings all of it under control.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from airflow_stress_explore.aio.kernel import AbandonedError, ControlledThread, Kernel

_REAL_LOCK = _thread.allocate_lock
_active: Kernel | None = None


class ControlledLock:
    """A lock whose waits the kernel sees. Outside of a run it is a plain lock."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = _REAL_LOCK()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As a plain lock; a bounded wait is taken for one without a bound, as no time passes here by itself."""
        kernel = _active
        if kernel is None or _thread.get_ident() not in kernel.idents:
            return self._lock.acquire(blocking, timeout)
        while not self._lock.acquire(False):
            if not blocking:
                return False
            kernel.point(self._is_free)
        return True

    def release(self) -> None:
        """As a plain lock."""
        if self._lock.locked() or _active is None or _active.ended is None:
            self._lock.release()

    def locked(self) -> bool:
        """As a plain lock."""
        return self._lock.locked()

    def _is_free(self) -> bool:
        return not self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def _make_lock() -> Any:
    kernel = _active
    if kernel is not None and _thread.get_ident() in kernel.idents:
        return ControlledLock()
    return _REAL_LOCK()


class _Worker:
    """A real thread, used again by the next run: starting one costs more than many schedules."""

    idle: list[_Worker] = []  # noqa: RUF012 - the one pool of this process

    def __init__(self) -> None:
        self.thread = ControlledThread("")
        self.work: Callable[[], None] | None = None
        self.ident = 0
        self.started = _REAL_LOCK()
        self.started.acquire()
        global _active  # noqa: PLW0603 - starting a thread waits for it: no wait of the run's
        kernel, _active = _active, None
        try:
            threading.Thread(target=self._live, name="under control", daemon=True).start()
            self.started.acquire()
        finally:
            _active = kernel

    def _live(self) -> None:
        self.ident = _thread.get_ident()
        self.started.release()
        while True:
            self.thread.wake.acquire()
            assert self.work is not None
            work, self.work = self.work, None
            work()


class ControlledExecutor:
    """Stands for a ThreadPoolExecutor: as many threads at once as that one has, and a queue in front of them."""

    def __init__(self, executors: Executors, max_workers: int | None) -> None:
        self.executors = executors
        self.limit = max_workers
        self.busy = 0
        self.queue: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As ThreadPoolExecutor.submit."""
        future: Future[Any] = Future()
        self.queue.append((future, lambda: func(*args, **kwargs)))
        if self.limit is None or self.busy < self.limit:
            self.busy += 1
            self.executors.start(self)
        return future

    def shutdown(self, *_: object, **__: object) -> None:
        """Nothing: threads end with the run."""

    def work(self) -> None:
        """What one of its threads does: take work until there is none."""
        while self.queue:
            future, call = self.queue.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except AbandonedError:
                self.queue.clear()
                return
            except BaseException as error:  # as in a pool: it is the caller's
                future.set_exception(error)
            else:
                future.set_result(result)
        self.busy -= 1


class Executors:
    """The executors of one run."""

    def __init__(self, kernel: Kernel, forget: Callable[[], None] = lambda: None) -> None:
        """`forget`: called in each thread before its work, to clear thread-local data of the run before."""
        self.kernel = kernel
        self.forget = forget
        self._known: dict[int, ControlledExecutor] = {}
        self._default = ControlledExecutor(self, None)
        self._count = 0
        self.on_step: Callable[[Any, Any], None] | None = None
        """Called by each loop after each of its steps, with itself and the handle."""

    def of(self, executor: Any) -> Any:
        """What stands for this executor; None is a loop's default."""
        if executor is None:
            return self._default
        if isinstance(executor, ControlledExecutor):
            return executor
        limit = getattr(executor, "_max_workers", None)
        if limit is None:  # asgiref's executor that runs in the caller's own thread
            return executor
        return self._known.setdefault(id(executor), ControlledExecutor(self, limit))

    def new(self, max_workers: int | None = None, *_: object, **__: object) -> ControlledExecutor:
        """Stands for the constructor of ThreadPoolExecutor."""
        return ControlledExecutor(self, max_workers)

    def start(self, executor: ControlledExecutor) -> None:
        """Add a thread to the kernel; it runs when it is chosen."""
        worker = _Worker.idle.pop() if _Worker.idle else _Worker()
        self._count += 1
        thread = worker.thread
        thread.name = f"thread {self._count}"
        thread.can_run = None
        kernel = self.kernel

        def work() -> None:
            try:
                if kernel.ended is None:
                    self.forget()
                    executor.work()
            finally:
                # In the pool before another thread runs, because that one may want a thread at once.
                _Worker.idle.append(worker)
                kernel.leave(thread)

        worker.work = work
        kernel.idents.add(worker.ident)
        kernel.threads.append(thread)


@contextlib.contextmanager
def under_control(kernel: Kernel, new_loop: Callable[[], Any]) -> Iterator[None]:
    """For the time of a run: locks, and the loops that threads make for themselves, are controlled ones."""
    global _active  # noqa: PLW0603 - the names replaced below are as global
    # typeshed knows neither name as something to assign to.
    library: Any = threading
    events: Any = asyncio.events
    stock = library.Lock, library._allocate_lock, events.new_event_loop
    _active = kernel
    library.Lock = library._allocate_lock = _make_lock
    events.new_event_loop = new_loop
    try:
        yield
    finally:
        library.Lock, library._allocate_lock, events.new_event_loop = stock
        _active = None


def take_over_locks(owner: Any, names: list[str]) -> list[str]:
    """Replace the thread locks among an object's attributes; gives their names."""
    taken = []
    for name in names:
        if isinstance(getattr(owner, name, None), _thread.LockType):
            setattr(owner, name, ControlledLock())
            taken.append(name)
    return taken
