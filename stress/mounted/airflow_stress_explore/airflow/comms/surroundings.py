"""What is around the runs of a process: Airflow imported once, its slow parts remembered, standard input lent to
runners."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import os
import warnings
from collections.abc import Iterator
from typing import Any

from airflow_stress_explore.aio.threads import Executors
from airflow_stress_explore.airflow.comms.supervisor import COMMS, RUNNER

_saved_stdin = -1
"""Where the process's own standard input is while a runner has its descriptor; set by `runs_prepared`."""


def restore_stdin() -> None:
    """Give the descriptor 0 back to the process's own standard input."""
    os.dup2(_saved_stdin, 0)


def _save_stdin() -> int:
    try:
        return os.dup(0)
    except OSError:  # started without one
        return os.open(os.devnull, os.O_RDONLY)


def forget_thread() -> None:
    """Clear what asgiref keeps in a thread: the loop that it last worked for."""
    importlib.import_module("asgiref.sync").SyncToAsync.threadlocal.__dict__.clear()


@contextlib.contextmanager
def executors_of_asgiref(executors: Executors) -> Iterator[None]:
    """For the time of a run: the threads of asgiref's bridges are controlled ones."""
    sync: Any = importlib.import_module("asgiref.sync")
    stock = sync.ThreadPoolExecutor
    sync.ThreadPoolExecutor = executors.new
    try:
        yield
    finally:
        sync.ThreadPoolExecutor = stock


class _RememberedSettings:
    """Airflow's configuration, each option read once."""

    def __init__(self, settings: Any) -> None:
        self._settings = settings

    def __getattr__(self, name: str) -> Any:
        remembered = functools.cache(getattr(self._settings, name))
        setattr(self, name, remembered)
        return remembered


@contextlib.contextmanager
def runs_prepared() -> Iterator[None]:
    """Import Airflow and make repeated runs cheap and quiet. Runs are only possible inside."""
    global _saved_stdin  # noqa: PLW0603 - there is one descriptor 0
    structlog: Any = importlib.import_module("structlog")
    runner: Any = importlib.import_module(RUNNER)
    comms: Any = importlib.import_module(COMMS)
    importlib.import_module("asgiref.sync")
    _saved_stdin = _save_stdin()
    stock = runner.TypeAdapter, comms.TypeAdapter, runner.conf
    # Each decoder builds two validators, which takes longer than a hundred schedules. They hold no state.
    memo = functools.cache(stock[0])
    runner.TypeAdapter = comms.TypeAdapter = memo
    # Each runner reads the same four settings.
    runner.conf = _RememberedSettings(runner.conf)
    logging = structlog.get_config()
    structlog.configure(
        processors=[], wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False
    )
    # A million objects of Airflow live as long as the process, so no collection has to traverse them.
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
