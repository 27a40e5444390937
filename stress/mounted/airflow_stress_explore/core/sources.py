"""Which functions a schedule runs, and a fingerprint of the source of each.

A schedule is a list of choices, and means something only for the code whose steps it orders. `SourceRecorder` notes the
functions of some packages that run in a thread, by Python's profiler hook. `fingerprints` digests the text of what
stands under such a name now: the function, and everything that wraps it (`__wrapped__`). So another release, code laid
over a release, and a fix that replaces or wraps a function have other fingerprints.

Limits: a function that is defined inside another one counts as that one. What cannot be found under its name (a lambda,
a function that a decorator hides) is left out.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import CodeType, FrameType
from typing import Any, TypeVar

_DIGITS = 16
_Value = TypeVar("_Value")


class SourceRecorder:
    """Notes the functions of some packages that are called."""

    def __init__(self, packages: Sequence[str]) -> None:
        """`packages`: their names; subpackages are included."""
        self._prefixes = tuple(f"{package}." for package in packages)
        self._called: dict[CodeType, str] = {}

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        """The profiler hook."""
        if event == "call" and frame.f_code not in self._called:
            self._called[frame.f_code] = str(frame.f_globals.get("__name__", ""))

    def run(self, work: Callable[[], _Value]) -> _Value:
        """Do this work in this thread, and note what it calls."""
        sys.setprofile(self)
        try:
            return work()
        finally:
            sys.setprofile(None)

    @property
    def names(self) -> list[str]:
        """The functions, as `module:Class.function`."""
        found = {
            f"{module}:{code.co_qualname.partition('.<locals>')[0]}"
            for code, module in self._called.items()
            if f"{module}.".startswith(self._prefixes)
        }
        return sorted(name for name in found if "<" not in name)


def fingerprints(names: Iterable[str]) -> dict[str, str]:
    """The digest of each function that is found under its name."""
    found = ((name, _texts(name)) for name in names)
    return {name: _digest(texts) for name, texts in found if texts}


def differences(expected: Mapping[str, str]) -> list[str]:
    """What differs between fingerprints and the code of this process, a sentence for each function."""
    return [sentence for name, digest in sorted(expected.items()) if (sentence := _difference(name, digest))]


def _difference(name: str, digest: str) -> str:
    texts = _texts(name)
    if not texts:
        return f"{name} is missing"
    if _digest(texts) == digest:
        return ""
    others = sorted(module for module in texts if module.partition(".")[0] != name.partition(".")[0])
    return f"{name} is replaced by {', '.join(others)}" if others else f"{name} has another source"


def _digest(texts: Mapping[str, str]) -> str:
    return hashlib.sha256("\n".join(texts.values()).encode()).hexdigest()[:_DIGITS]


def _texts(name: str) -> dict[str, str]:
    """The text of a function and of each function that wraps it, by their modules; empty if there is none."""
    texts: dict[str, str] = {}
    function = _function(name)
    while function is not None:
        code = getattr(function, "__code__", None)
        if code is not None:
            module = str(getattr(function, "__globals__", {}).get("__name__", ""))
            try:
                texts[module] = texts.get(module, "") + inspect.getsource(code)
            except OSError:  # there is no file of it
                texts[module] = texts.get(module, "") + code.co_qualname
        function = getattr(function, "__wrapped__", None)
    return texts


def _function(name: str) -> Any:
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ImportError:
        return None
    for part in path.split("."):
        found = inspect.getattr_static(found, part, None)
    if isinstance(found, property):
        return found.fget
    return getattr(found, "__func__", found)  # of a classmethod or a staticmethod
