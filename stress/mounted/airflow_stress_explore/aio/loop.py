"""An event loop under control: asyncio's own, with points at which events from outside may happen, and a clock."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import selectors
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from airflow_stress_explore.aio.kernel import AbandonedError, ControlledThread, Kernel


class Executors(Protocol):
    """What a loop needs of the executors of its run."""

    on_step: Callable[[Any, Any], None] | None
    """Called by each loop after each of its steps, with itself and the handle."""

    def of(self, executor: Any) -> Any:
        """The controlled executor that stands for this one; None is a loop's default."""


class ControlledLoop(asyncio.SelectorEventLoop):
    """Runs handles in asyncio's order, one a step, and asks the kernel before each of them and before each poll."""

    # What BaseEventLoop keeps; typeshed doesn't know it.
    _ready: Any
    _scheduled: Any
    _selector: Any
    _stopping: bool

    def __init__(self, kernel: Kernel, executors: Executors) -> None:
        # poll, not epoll: so a loop for each schedule needs no descriptor.
        super().__init__(selectors.PollSelector())
        self.kernel = kernel
        self.executors = executors
        self.thread: ControlledThread = kernel.current
        self.ran = 0
        self.left_in_turn = 0
        self.in_handle = False
        """Whether a handle is being run; still so after a run that ended while one blocked the loop's thread."""
        self.maybe_readable = True
        """Whether a poll could find something: cleared by one that did not, set when a socket may have become readable.
        """
        self.tasks: list[asyncio.Task[Any]] = []
        """All that were made here. asyncio's own list is every loop's, and long when runs are many."""
        self.io_handles: set[Any] = set()
        self.complaints: list[str] = []
        self.set_exception_handler(lambda _, context: self.complaints.append(str(context.get("message"))))

    def time(self) -> float:
        """Seconds of the kernel's virtual clock."""
        return self.kernel.now_s

    def appended(self) -> int:
        """How many handles this loop was given since it was made."""
        return self.ran + len(self._ready)

    def next_timer_s(self) -> float | None:
        """When the next timer is due on the virtual clock, if there is one."""
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)._scheduled = False
        return float(self._scheduled[0]._when) if self._scheduled else None

    def at_the_socket(self) -> bool:
        """Whether what this loop does next is to look at its socket; before anything else, bytes there are unseen."""
        return self.left_in_turn == 0 or self._ready[0] in self.io_handles

    def create_task(self, coro: Any, **options: Any) -> Any:
        """As asyncio does; remembers the task."""
        task = super().create_task(coro, **options)
        self.tasks.append(task)
        return task

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override] # typeshed's is generic
        """As asyncio does, in a thread under control."""
        work: Future[Any] = self.executors.of(executor).submit(func, *args)
        return asyncio.wrap_future(work, loop=self)

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override] # so too
        """A separate point if another thread calls it: it may be late."""
        if self.kernel.current is not self.thread and self.kernel.ended is None:
            self.kernel.point()
        return super().call_soon_threadsafe(callback, *args, context=context)

    def abandon(self) -> None:
        """Close the loop and all that still waits in it: its coroutines end here, not when they are collected."""
        for task in self.tasks:
            if task.done():
                continue
            # Errors of a coroutine that is closed here are not the run's.
            with contextlib.suppress(BaseException):
                task.get_coro().close()
        self.tasks.clear()
        self._ready.clear()
        self._scheduled.clear()
        self.close()

    def _has_work(self) -> bool:
        if self._ready or self._stopping:
            return True
        if self.maybe_readable:
            if self._selector.select(0):
                return True
            self.maybe_readable = False
        due = self.next_timer_s()
        return due is not None and due <= self.kernel.now_s

    def _run_once(self) -> None:
        """One turn of the loop: poll, then run what is ready now."""
        ready = self._ready
        try:
            self.left_in_turn = 0
            self.kernel.point(self._has_work)
            before = len(ready)
            if self.maybe_readable:
                found = self._selector.select(0)
                self.maybe_readable = bool(found)
                for key, _ in found:
                    self.io_handles.update(handle for handle in key.data if handle is not None)
                self._process_events(found)  # type: ignore[attr-defined]
            while (due := self.next_timer_s()) is not None and due <= self.kernel.now_s:
                timer = heapq.heappop(self._scheduled)
                timer._scheduled = False
                ready.append(timer)
            self.left_in_turn = len(ready)
            asked = len(ready) == before  # nothing has happened since the kernel was asked
            while self.left_in_turn:
                if not asked and not ready[0]._cancelled:
                    self.kernel.point()
                asked = False
                handle = ready.popleft()
                self.left_in_turn -= 1
                self.ran += 1
                if not handle._cancelled:
                    self.in_handle = True
                    handle._run()
                    if self.kernel.ended is not None:
                        raise AbandonedError
                    self.in_handle = False
                    if self.executors.on_step is not None:
                        self.executors.on_step(self, handle)
        except AbandonedError:
            self.left_in_turn = 0
            if self.thread is not self.kernel.main:
                raise
            self._stopping = True

    def _add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:
        self.maybe_readable = True
        return super()._add_reader(fd, callback, *args)  # type: ignore[misc]

    def _add_writer(self, fd: Any, callback: Any, *args: Any) -> Any:
        self.maybe_readable = True
        return super()._add_writer(fd, callback, *args)  # type: ignore[misc]

    # The stock loop is woken by a byte on its own socket pair. Here the kernel knows who has work.
    def _make_self_pipe(self) -> None:
        pass

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        pass
