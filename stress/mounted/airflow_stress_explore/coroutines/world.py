"""Who can go on, and who does: one party at a time, chosen at every point.

A *party* is a thread: the one that runs the main loop, and those that callers' synchronous work runs in. Exactly
one of them holds the baton; it comes to `World.point` whenever something else could happen, and goes on when it is
chosen again. What happens from outside are `Event`s, done by whoever holds the baton. When nothing that must
happen is left, the world is quiet: either all is done, or somebody waits for ever.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import Any

from .schedule import Chooser


class AbandonedError(BaseException):
    """The run is over: unwinds whoever still stands somewhere. Not an Exception, so that nobody handles it."""


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
        """Nobody may rely on it: if only such are left, whoever waits does so for ever."""

    def __str__(self) -> str:
        return self.name


class Party:
    """A thread under control."""

    __slots__ = ("can_go", "name", "wake")

    def __init__(self, name: str) -> None:
        self.name = name
        self.wake = _thread.allocate_lock()
        self.wake.acquire()
        self.can_go: Callable[[], bool] | None = None

    def __str__(self) -> str:
        return self.name


class _GoOn:
    def __str__(self) -> str:
        return "go on"


GO_ON = _GoOn()


class World:
    """One run: its parties, its events, and the choices made."""

    def __init__(self, chooser: Chooser) -> None:
        self.chooser = chooser
        self.main = Party("loop")
        self.current = self.main
        self.parties: list[Party] = [self.main]
        self.threads: set[int] = {_thread.get_ident()}
        self.events: list[Event] = []
        self.choosing = False
        self.over: str | None = None
        """Why the run ended, once it has."""
        self.error: BaseException | None = None
        self.now_s = 0.0
        self.on_quiet: Callable[[], bool] = lambda: False
        """Called when nothing is left to happen: makes something happen, or ends the run by returning False."""
        self.on_event: Callable[[Event], None] | None = None
        self.appended: Callable[[], int] = lambda: 0

    def point(self, can_go: Callable[[], bool] | None = None) -> None:
        """Give others a chance; return when the caller is to go on, which needs `can_go`."""
        mine = self.current
        chosen = self._choose(mine, can_go)
        if chosen is not mine:
            mine.can_go = can_go
            self.current = chosen
            chosen.wake.release()
            mine.wake.acquire()
        if self.over is not None:
            raise AbandonedError

    def leave(self, party: Party) -> None:
        """The party's work is done: hand over for good, without waiting."""
        self.parties.remove(party)
        chosen = self._choose(None, None)
        self.current = chosen
        chosen.wake.release()

    def end(self, why: str) -> None:
        """No more choices; everybody unwinds."""
        if self.over is None:
            self.over = why

    def unwind(self) -> None:
        """Called by the main party when its loop has stopped: let every thread run into `AbandonedError`."""
        self.end("done")
        while len(self.parties) > 1:
            party = self.parties[1]
            self.current = party
            party.wake.release()
            self.main.wake.acquire()
            if party in self.parties:
                # It blocked again while unwinding, which only code that swallows everything can do.
                self.parties.remove(party)

    def _choose(self, mine: Party | None, can_go: Callable[[], bool] | None) -> Party:
        """Who goes on next; events that are chosen before that happen here."""
        while self.over is None:
            going = mine is not None and (can_go is None or can_go())
            options, must = self._options(mine, going)
            try:
                if not must:
                    if not self.on_quiet():
                        self.end("quiet")
                    continue
                taken = 0
                if self.choosing and len(options) > 1:
                    taken = self.chooser.choose(options, going, self.appended())
            except BaseException as error:
                # Whoever holds the baton now is not who must see it: `error` is raised when the run is over.
                self.error = error
                self.end("error")
                continue
            option = options[taken]
            if option is GO_ON:
                assert mine is not None
                return mine
            if isinstance(option, Party):
                return option
            self._happen(option)
        # Over: the main party cleans up, unless a thread is just being unwound by it.
        return self.main

    def _options(self, mine: Party | None, going: bool) -> tuple[list[Any], bool]:
        """What could happen next, the default first; and whether one of them has to."""
        options: list[Any] = [GO_ON] if going else []
        options += [p for p in self.parties if p is not mine and (p.can_go is None or p.can_go())]
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
