"""Writes a fix into the source of the modules that it patches, as a commit to Airflow would have it.

    python -m airflow_stress_fixes.as_source NAME FILE      writes {path of a module: its new text} to FILE, as JSON

It runs in a release's environment. It applies the fix to the imported modules and compares them with what they were:
each definition that another function or class replaced is written as source.

    the stock definition                  stays, as ``<name>_inner``
    the function or class in its place    follows it, under the name
    the fix's helpers that these use      before it, in the module; or imported, if two modules use them
    names of the enclosing function       by their value: the stock definition, the module, a class, a constant

What a fix may not do, if it is to be written as source: capture a value that has no source form (a statement, a class
that was made at run time), or define a helper under a name that the module has. Both raise ``FormError``.
"""

from __future__ import annotations

import ast
import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fix
from airflow_stress_fixes.module_text import FormError, Import, ModuleText, Names
from airflow_stress_fixes.written import FixSource, Replaced, class_text, function_text


def applied(fix: Fix) -> list[Replaced]:
    """Apply a fix in this process; what it has replaced, the fix's own module first."""
    names = dict.fromkeys([fix.module, *fix.also, *(target.module for target in fix.targets)])
    modules = [module for name in names if (module := _imported(name)) is not None]
    before = [(module, owner, name, value) for module in modules for owner, name, value in _definitions(module)]
    fix.apply(sys.modules[fix.module])
    for name, apply in fix.also.items():
        if name in sys.modules:
            apply(sys.modules[name])
    return [
        Replaced(module, owner, name, value, vars(owner)[name])
        for module, owner, name, value in before
        if vars(owner).get(name) is not value
    ]


def _imported(name: str) -> ModuleType | None:
    """A target's module; None if this release does not have it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def _definitions(module: ModuleType) -> Iterator[tuple[Any, str, Any]]:
    classes = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]
    for owner in (module, *dict.fromkeys(classes)):
        for name, value in list(vars(owner).items()):
            if callable(value) or isinstance(value, (classmethod, staticmethod)):
                yield owner, name, value


def texts(fix: Fix) -> dict[Path, str]:
    """The new text of each file that a fix changes. This process is left without the fix. Raises FormError."""
    replaced = applied(fix)
    if not replaced:
        raise FormError("it has replaced nothing")
    try:
        return _texts(fix, replaced)
    finally:
        for one in replaced:
            setattr(one.owner, one.name, one.stock)


def _texts(fix: Fix, replaced: Sequence[Replaced]) -> dict[Path, str]:
    source = FixSource(sys.modules[fix.apply.__module__])
    parts: dict[ModuleType, list[tuple[Replaced, str, Names]]] = {}
    for one in replaced:
        parts.setdefault(one.module, []).append((one, *_text_of(source, one, fix.summary)))
    home, *others = parts
    needed = {module: source.helpers(names for _, _, names in of_module) for module, of_module in parts.items()}
    shared = {name for other in others for name in needed[other] if name in needed[home]}
    found = {}
    for module, of_module in parts.items():
        text = ModuleText(module)
        defined = [name for name in needed[module] if module is home or name not in shared]
        names = Names()
        for used in [*(each for _, _, each in of_module), *map(source.used_by, defined)]:
            names.add(used)
        for one, wrapper, _ in of_module:
            text.replace(one.place, one.inner, wrapper)
        text.define([(name, source.helper_text(name, module)) for name in defined])
        borrowed = [Import(home.__name__, name) for name in needed[module] if name not in defined]
        text.require([*source.imports(names.running), *names.imports, *borrowed])
        text.require_for_annotations(source.imports(names.annotated))
        found[text.path] = text.result()
    return found


def _text_of(source: FixSource, one: Replaced, summary: str) -> tuple[str, Names]:
    now = one.now.__func__ if isinstance(one.now, (classmethod, staticmethod)) else one.now
    if isinstance(now, type):
        return class_text(source, one, now)
    return function_text(source, one, _own_function(now, source.path), summary)


def _own_function(function: Any, path: Path) -> FunctionType:
    """The function that the fix's module defines, below decorators of the standard library."""
    while isinstance(function, FunctionType) and Path(function.__code__.co_filename) != path:
        function = getattr(function, "__wrapped__", None)
    if not isinstance(function, FunctionType):
        raise FormError("a replacement is not a function of the fix's own module")
    return function


def main(arguments: Sequence[str]) -> int:
    """Write the new texts of a fix; 0, or 64 for bad arguments, or 3 with the reason on stderr."""
    if len(arguments) != 2 or arguments[0] not in FIXES:
        print(
            f"usage: python -m airflow_stress_fixes.as_source NAME FILE, with a name of {', '.join(FIXES)}",
            file=sys.stderr,
        )
        return 64
    try:
        found = texts(FIXES[arguments[0]])
    except (FormError, TypeError) as error:
        print(f"fix {arguments[0]} has no source form on this release: {error}", file=sys.stderr)
        return 3
    for path, text in found.items():
        ast.parse(text, str(path))
    # Not to standard output, where Airflow's import may log.
    Path(arguments[1]).write_text(json.dumps({str(path): text for path, text in found.items()}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
