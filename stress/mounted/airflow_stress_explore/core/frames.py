"""Which line of the code under test a step is at: what a reader looks up in the source.

A frame is written `package.module:LINE function`: no path of the machine is in it.
"""

from __future__ import annotations

from types import FrameType, TracebackType

_PLUMBING = ("airflow_stress_explore", "asyncio", "asgiref", "concurrent", "contextlib", "functools", "sqlalchemy")
"""Packages whose frames are between the code under test and what is observed."""


def calling_frame(frame: FrameType | None) -> str:
    """The innermost frame of the code under test, from a frame outwards; empty if there is none.

    The body of a context manager (a session that commits at the end of its block) is left out: its user is meant.
    """
    while frame is not None:
        caller = frame.f_back
        if not _is_plumbing(frame) and not (caller is not None and _package(caller) == "contextlib"):
            return "" if _package(frame) == "threading" else _written(frame, frame.f_lineno)
        frame = caller
    return ""


def raising_frame(trace: TracebackType | None) -> str:
    """The innermost frame of the code under test in a traceback; empty if there is none."""
    found = ""
    while trace is not None:
        if not _is_plumbing(trace.tb_frame):
            found = _written(trace.tb_frame, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _is_plumbing(frame: FrameType) -> bool:
    return _package(frame) in _PLUMBING


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _written(frame: FrameType, line: int) -> str:
    return f"{frame.f_globals.get('__name__', '')}:{line} {frame.f_code.co_qualname}"
