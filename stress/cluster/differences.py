"""The settings of Airflow and PostgreSQL that a run changed, with the defaults beside them, for the report.

A race may depend on a setting, so that a reader has to see which of them are not those of a plain installation.
Airflow's defaults are read from the arm's own code, PostgreSQL's from `pg_settings`. Secrets, ports and paths of the
machine are replaced: a report gets published.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from stress.arms.spec import Arm
from stress.cluster.airflow import config_variable
from stress.cluster.server import DatabaseServer
from stress.layout import MOUNTED
from stress.results import SettingDifference

DEFAULTS_SCRIPT = MOUNTED / "airflow_stress_defaults.py"
SECRET = "(secret)"  # noqa: S105 - what is shown instead of one
A_PATH = "(a path of this run)"
_VARIABLE = "AIRFLOW__"
_COMMAND = "_CMD"
_TIMEOUT_S = 30
_PORT = re.compile(r"(127\.0\.0\.1|localhost):\d+")

# What the server runs with that no default explains. `override` and `client` are the server's and this session's own.
_CHANGED = """
SELECT name, setting, coalesce(unit, ''), coalesce(boot_val, '')
FROM pg_settings
WHERE source NOT IN ('default', 'override', 'client', 'session') AND setting IS DISTINCT FROM boot_val
ORDER BY name
"""
# Written into every new server's configuration by initdb, after the machine's locale.
_OF_THE_LOCALE = frozenset({"DateStyle", "TimeZone", "log_timezone", "default_text_search_config"})
# Chosen anew for each run.
_OF_THE_RUN = frozenset({"port", "unix_socket_directories", "listen_addresses"})


def postgresql(server: DatabaseServer) -> list[SettingDifference]:
    """The server's settings that are not PostgreSQL's defaults."""
    try:
        with psycopg.connect(server.dsn("postgres", "airflow-stress"), connect_timeout=5) as connection:
            rows = connection.execute(_CHANGED).fetchall()
    except psycopg.Error as error:
        return [_unread("PostgreSQL", str(error).strip())]
    return [
        SettingDifference("PostgreSQL", name, _shown(_with_unit(value, unit)), _shown(_with_unit(default, unit)))
        for name, value, unit, default in rows
        if name not in _OF_THE_LOCALE | _OF_THE_RUN and not name.startswith("lc_")
    ]


@dataclass(frozen=True)
class Configured:
    """An arm and the variables of its components."""

    arm: Arm
    variables: Mapping[str, str]


def airflow(arms: Sequence[Configured], defaults_of: Callable[[Arm], str]) -> list[SettingDifference]:
    """The options of Airflow that its arms change. `defaults_of` runs `DEFAULTS_SCRIPT` and returns what it prints.

    One row an option and release; an option that differs between arms of one release says what it is in each.
    """
    found: list[SettingDifference] = []
    for release in dict.fromkeys(configured.arm.airflow.version for configured in arms):
        group = [configured for configured in arms if configured.arm.airflow.version == release]
        system = f"Airflow {release}"
        try:
            defaults = _read(defaults_of(group[0].arm))
        except (OSError, ValueError) as error:
            found.append(_unread(system, str(error)))
            continue
        found.extend(_of_release(system, group, defaults))
    return found


def printed_by(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a script prints. Raises ValueError if it fails, OSError if it cannot be started."""
    try:
        done = subprocess.run(
            command, env=dict(environment), capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"reading the defaults took longer than {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise ValueError(done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}")
    return done.stdout


def _of_release(
    system: str, group: Sequence[Configured], defaults: Mapping[str, tuple[str, bool]]
) -> list[SettingDifference]:
    option_of = {config_variable(option): option for option in defaults}
    values: dict[str, dict[str, str]] = {}
    for configured in group:
        for variable, value in configured.variables.items():
            name = variable.removesuffix(_COMMAND)
            if variable.startswith(_VARIABLE):
                secret = name != variable
                option = option_of.get(name, name.removeprefix(_VARIABLE).replace("__", ".", 1).lower())
                values.setdefault(option, {})[configured.arm.name] = SECRET if secret else value
    found = []
    for option, of_arms in sorted(values.items()):
        default, secret = defaults.get(option, ("(no such option)", False))
        each = {
            configured.arm.name: SECRET if secret else of_arms.get(configured.arm.name, default) for configured in group
        }
        if any(value.lower() != default.lower() for value in each.values()):
            found.append(SettingDifference(system, option, _of_each(each), _shown(default)))
    return found


def _of_each(values: Mapping[str, str]) -> str:
    """One value, or that of each arm where they differ."""
    shown = {arm: _shown(value) for arm, value in values.items()}
    if len(set(shown.values())) == 1:
        return next(iter(shown.values()))
    return "; ".join(f"{arm}: {value}" for arm, value in shown.items())


def _read(printed: str) -> dict[str, tuple[str, bool]]:
    """Raises ValueError if it is not what the script prints."""
    found = json.loads(printed)
    return {option: ("" if default is None else str(default), secret) for option, (default, secret) in found.items()}


def _shown(value: str) -> str:
    if Path(value).is_absolute():
        return A_PATH
    return _PORT.sub(r"\1:(a free port)", value)


def _with_unit(value: str, unit: str) -> str:
    """`100 ms`; `128 x 8kB` where the unit is a number of bytes itself."""
    if not unit or value in ("", "-1", "0"):
        return value
    return f"{value} x {unit}" if unit[0].isdigit() else f"{value} {unit}"


def _unread(system: str, reason: str) -> SettingDifference:
    return SettingDifference(system, "(not read)", reason.partition("\n")[0], "")
