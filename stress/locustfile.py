"""The load on the public REST API, as Locust runs it: `locust -f stress/locustfile.py --headless`.

One user class a behaviour: those of each race's `load.py`, and `UiReader`. Which of them take part is in the load
settings (`AIRFLOW_STRESS_LOAD`, a file).

Locust replaces the standard library's sockets and sleeps with cooperative ones in its process, so that the harness
never imports this module.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from locust import User

from stress.load import users
from stress.races.registry import RACES


def _modules() -> list[ModuleType]:
    """The load of each race that has one."""
    names = [f"stress.races.{race}.load" for race in RACES]
    return [users, *(importlib.import_module(name) for name in names if importlib.util.find_spec(name) is not None)]


USERS: dict[str, type[User]] = {
    name: value
    for module in _modules()
    for name, value in vars(module).items()
    if isinstance(value, type)
    and issubclass(value, User)
    and value.__module__ == module.__name__
    and not value.abstract
}
"""Every user class by its name."""

_unknown = [name for name in users.SETTINGS.users if name not in USERS]
if _unknown:
    raise SystemExit(
        f"the plan asks for unknown users of the load: {', '.join(_unknown)}; there are {', '.join(USERS)}"
    )

# Locust takes every concrete user class that is a global of this file.
globals().update({name: user for name, user in USERS.items() if name in (users.SETTINGS.users or USERS)})
