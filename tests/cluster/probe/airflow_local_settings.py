"""Runs inside Airflow: says what a forked component has, as the last step before Airflow's own command.

Airflow lets this module replace functions of `airflow.settings`. `configure_orm` is what a child of a preloaded parent
calls last; its command line says what is wanted here: `probe`, `probe leave`, `exit CODE` or `wait`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import secrets
import signal
import sys
import threading
import types
import urllib.parse
import uuid
from pathlib import Path
from typing import Any

from airflow import settings

__all__ = ["configure_orm"]

MARK = "leads-" + "nowhere"
_configure_orm = settings.configure_orm
_left: list[str] = []


def configure_orm(*arguments: Any, **more: Any) -> None:
    """Airflow's own, and then the probe."""
    _configure_orm(*arguments, **more)
    match sys.argv[1:]:
        case ["probe", *rest]:
            if rest:
                _left.append(f"an address that {MARK}")
            print(json.dumps(_facts()), flush=True)
            sys.exit(0)
        case ["exit", code]:
            sys.exit(int(code))
        case ["wait"]:
            signal.pause()


def _facts() -> dict[str, Any]:
    from airflow.configuration import conf
    from airflow.utils.net import get_hostname

    connect_args = conf.getimport("database", "sql_alchemy_connect_args_async")
    return {
        "component": os.environ["AIRFLOW_STRESS_COMPONENT"],
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "engine": str(settings.engine.url),
        "async_engine": str(settings.async_engine.url),
        "host": get_hostname(),
        "asynchronous_name": connect_args["server_settings"]["application_name"],
        "descriptors": sorted(int(entry.name) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "active": threading.active_count(),
        "arguments": sys.argv[1:],
        "random": _random(),
        "hash": hash("the order of a set of strings"),
        "stale": _stale(),
    }


def _random() -> dict[str, str]:
    found = {
        "random": str(random.random()),  # noqa: S311 - whether it repeats is the question
        "uuid1": str(uuid.uuid1()),
        "uuid4": str(uuid.uuid4()),
        "secrets": secrets.token_hex(8),
    }
    uuid6 = importlib.import_module("uuid6")  # of Airflow's environment
    found["uuid7"] = str(uuid6.uuid7())
    if "numpy" in sys.modules:
        found["numpy"] = str(sys.modules["numpy"].random.random())
    return found


def _stale() -> list[str]:
    """Every text of the parent's own environment that an object of this process still refers to."""
    urllib.parse.clear_cache()  # type: ignore[attr-defined] # what a text was split into, under the text: the same in every process
    gc.unfreeze()
    gc.collect()
    found = set()
    for held in gc.get_objects():
        # This module's globals hold the mark itself. attrs copies a module's globals for the methods that it generates,
        # which use none of them.
        # Not isinstance, here and in `_text`: a lazy object imports what it stands for when it is asked for its class.
        of_attrs = issubclass(type(held), dict) and "NOTHING" in held and "_compat" in held
        if type(held) is not types.FrameType and held is not globals() and not of_attrs:
            marked = [text for text in map(_text, gc.get_referents(held)) if MARK in text]
            found |= {f"{type(held).__name__} {text!r:.80}" for text in marked}
    return sorted(found)


def _text(value: Any) -> str:
    kind = type(value)
    return value if issubclass(kind, str) else repr(value) if issubclass(kind, bytes) else ""
