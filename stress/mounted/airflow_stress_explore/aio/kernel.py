"""The kernel of a controlled run: which thread can run, and which one does, chosen by a scheduler at every point.

A thread is the one that runs the main loop, or one that runs a caller's synchronous work. Exactly one of them runs; it
calls `Kernel.point` whenever something else could happen, and returns from it when it is chosen again. What happens
from outside is an `Event`, which the running thread fires. When nothing that must happen is left, the kernel is quiet:
either all is done, or an actor waits and nothing can wake it.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import Any

from airflow_stress_explore.core.schedulers import Option, Scheduler


class AbandonedError(BaseException):
    """The run has ended: unwinds every thread. Not an Exception, so that no code under test handles it."""


class Event:
    """Something from outside that may happen when `enabled`."""

    __slots__ = ("enabled", "fire", "name", "once", "optional", "socket_only", "tail")

    def __init__(
        self,
        name: str,
        enabled: Callable[[], bool],
        fire: Callable[[], None],
        *,
        tail: bool = False,
        socket_only: bool = False,
        optional: bool = False,
        once: bool = False,
    ) -> None:
        self.name = name
        self.enabled = enabled
        self.fire = fire
        self.tail = tail
        """All it does is to put a handle at the end of the main loop's queue."""
        self.socket_only = socket_only
        """All it does is to put bytes into the main loop's socket."""
        self.once = once
        self.optional = optional
        """No actor may rely on it: if only such events are left, an actor that waits has hung."""


class ControlledThread:
    """A thread under control."""

    __slots__ = ("can_run", "name", "wake")

    def __init__(self, name: str) -> None:
        self.name = name
        self.wake = _thread.allocate_lock()
        self.wake.acquire()
        self.can_run: Callable[[], bool] | None = None


class _GoOn:
    name = "go on"


GO_ON = _GoOn()


class Kernel:
    """One run: its threads, its events, and its scheduler."""

    def __init__(self, scheduler: Scheduler[Option]) -> None:
        self.scheduler = scheduler
        self.main = ControlledThread("loop")
        self.current = self.main
        self.threads: list[ControlledThread] = [self.main]
        self.idents: set[int] = {_thread.get_ident()}
        self.events: list[Event] = []
        self.choosing = False
        self.ended: str | None = None
        """Why the run ended, once it has."""
        self.error: BaseException | None = None
        self.now_s = 0.0
        self.on_quiet: Callable[[], bool] = lambda: False
        """Called when nothing is left to happen: makes something happen, or ends the run by returning False."""
        self.on_event: Callable[[Event], None] | None = None
        self.appended: Callable[[], int] = lambda: 0

    def point(self, can_run: Callable[[], bool] | None = None) -> None:
        """Let others run; return when the caller is chosen to run, for which `can_run` must hold."""
        mine = self.current
        chosen = self._choose(mine, can_run)
        if chosen is not mine:
            mine.can_run = can_run
            self.current = chosen
            chosen.wake.release()
            mine.wake.acquire()
        if self.ended is not None:
            raise AbandonedError

    def leave(self, thread: ControlledThread) -> None:
        """The thread's work is done: let another one run, without waiting."""
        self.threads.remove(thread)
        chosen = self._choose(None, None)
        self.current = chosen
        chosen.wake.release()

    def end(self, why: str) -> None:
        """No more choices; every thread unwinds."""
        if self.ended is None:
            self.ended = why

    def unwind(self) -> None:
        """Called by the main thread when its loop has stopped: let every thread run into `AbandonedError`."""
        self.end("done")
        while len(self.threads) > 1:
            thread = self.threads[1]
            self.current = thread
            thread.wake.release()
            self.main.wake.acquire()
            if thread in self.threads:
                # It blocked again while unwinding, which only code that catches BaseException can do.
                self.threads.remove(thread)

    def _choose(self, mine: ControlledThread | None, can_run: Callable[[], bool] | None) -> ControlledThread:
        """The thread that runs next. Events that are chosen before it are fired here."""
        while self.ended is None:
            going = mine is not None and (can_run is None or can_run())
            options, must = self._options(mine, going)
            try:
                if not must:
                    if not self.on_quiet():
                        self.end("quiet")
                    continue
                taken = 0
                if self.choosing and len(options) > 1:
                    taken = self.scheduler.choose(options, going, self.appended())
            except BaseException as error:
                # The running thread is not the one that must see it: `error` is raised when the run has ended.
                self.error = error
                self.end("error")
                continue
            option = options[taken]
            if option is GO_ON:
                assert mine is not None
                return mine
            if isinstance(option, ControlledThread):
                return option
            self._happen(option)
        # Ended: the main thread cleans up, unless it is just unwinding a thread.
        return self.main

    def _options(self, mine: ControlledThread | None, going: bool) -> tuple[list[Any], bool]:
        """What could happen next, the default first; and whether one of them has to."""
        options: list[Any] = [GO_ON] if going else []
        options += [p for p in self.threads if p is not mine and (p.can_run is None or p.can_run())]
        must = bool(options)
        for event in self.events:
            if event.enabled():
                options.append(event)
                must = must or not event.optional
        return options, must

    def _happen(self, event: Event) -> None:
        event.fire()
        if event.once:
            self.events.remove(event)
        if self.on_event is not None:
            self.on_event(event)
