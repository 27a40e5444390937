"""A virtual clock for Airflow's code: time stands still, and advances when a schedule says so.

Airflow asks for the time by `timezone.utcnow()`, which asks `datetime.now`; by `datetime.now` itself; by
`time.monotonic`; and by `now()` in SQL. In the modules of Airflow the names `datetime` and `time` are replaced by ones
that ask this clock, and `now()` in a statement by a literal. Only the modules of `airflow` see it: the explorer's own
waits, the libraries below Airflow and the server keep the real time.

A clock that is not frozen gives the real time, so a process in which it is installed plays all other pairs as before.

Limits: a default of a column that the server computes has the real time. A module of Airflow that is imported after the
clock was installed has the real time, too.
"""

from __future__ import annotations

import datetime as real
import functools
import re
import sys
import time as real_time
from types import ModuleType
from typing import Any

_SQL_NOW = re.compile(r"\bnow\(\)|\bCURRENT_TIMESTAMP\b(?!\s*\()", re.IGNORECASE)
_MODULES = ("airflow",)


class VirtualClock:
    """The time that the code of Airflow sees."""

    def __init__(self) -> None:
        self._frozen: real.datetime | None = None
        self._advanced = real.timedelta()

    def freeze(self, at: real.datetime) -> None:
        """Let time stand still from now on, at this time."""
        self._frozen = at
        self._advanced = real.timedelta()

    def release(self) -> None:
        """Let time pass by itself again."""
        self._frozen = None

    def advance(self, by: real.timedelta) -> None:
        """Let time pass at once. The clock is frozen."""
        self._advanced += by

    def now(self, tz: real.tzinfo | None = None) -> real.datetime:
        """The time, as `datetime.now` gives it."""
        if self._frozen is None:
            return real.datetime.now(tz)
        now = self._frozen + self._advanced
        return now.astimezone(tz) if tz is not None else now.astimezone().replace(tzinfo=None)

    def monotonic(self) -> float:
        """Seconds, as `time.monotonic` gives them; of a frozen clock since the Unix epoch."""
        return real_time.monotonic() if self._frozen is None else self.now(real.UTC).timestamp()

    def time(self) -> float:
        """Seconds since the Unix epoch."""
        return real_time.time() if self._frozen is None else self.now(real.UTC).timestamp()

    def in_sql(self, statement: str) -> str:
        """The statement with this clock's time in place of the server's."""
        if self._frozen is None:
            return statement
        return _SQL_NOW.sub(f"TIMESTAMPTZ '{self.now(real.UTC).isoformat()}'", statement)


CLOCK = VirtualClock()
"""The clock of this process."""


class _IsDatetime(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, real.datetime)

    def __subclasscheck__(cls, subclass: Any) -> bool:
        return issubclass(subclass, real.datetime)


class _Datetime(real.datetime, metaclass=_IsDatetime):
    """`datetime.datetime` as Airflow's modules see it. Its values are plain ones."""

    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        return real.datetime(*arguments, **options)  # noqa: DTZ001 - the caller's own arguments

    @classmethod
    def now(cls, tz: real.tzinfo | None = None) -> Any:
        return CLOCK.now(tz)

    @classmethod
    def utcnow(cls) -> Any:
        return CLOCK.now(real.UTC).replace(tzinfo=None)


class _Module(ModuleType):
    """A module of which some names are replaced."""

    def __init__(self, of: ModuleType, **replaced: Any) -> None:
        super().__init__(of.__name__)
        self._of = of
        vars(self).update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)


@functools.cache
def install() -> None:
    """Make the modules of Airflow that are imported ask `CLOCK`. Once is enough; further calls do nothing."""
    datetime_module = _Module(real, datetime=_Datetime)
    time_module = _Module(real_time, monotonic=CLOCK.monotonic, time=CLOCK.time)
    by_object = {
        id(real): datetime_module,
        id(real.datetime): _Datetime,
        id(real_time): time_module,
        id(real_time.monotonic): CLOCK.monotonic,
        id(real_time.time): CLOCK.time,
    }
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _MODULES and module is not None:
            for key, value in list(vars(module).items()):
                if id(value) in by_object:
                    setattr(module, key, by_object[id(value)])
