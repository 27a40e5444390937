"""The mount: patches a module of Airflow right after Python has executed it, if we know its source.

::

    interpreter start            import airflow.models.trigger
      sitecustomize                 finder below -> the real finders -> the real loader
        install_from_environment      exec the module (stock)
          report "armed"              for each fix of that module:
                                        fingerprints of all its targets -> judge
                                        applies    -> patch, report "loaded"
                                        not needed -> report "not_needed"
                                        unknown    -> stderr, report "refused"

After any error, stock code stays and the process lives: a fix that didn't load is for the harness to
notice, by the report, and never a reason for a scheduler to die.

The report: with ``AIRFLOW_STRESS_FIX_REPORT_DIR`` set, each process appends JSON lines to
``<dir>/<component>-<pid>.jsonl``; ``component`` is ``AIRFLOW_STRESS_COMPONENT``. A child made by ``fork``
has its parent's patches and reports nothing.

``AIRFLOW_STRESS_FIX_STATUS_DIR`` is for a deployment that runs for months: the same files, but a process
removes its own when it ends, and it prints each fix that loads to stderr. ``status`` reads that directory.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from airflow_stress_fixes import catalogue, source
from airflow_stress_fixes.fix import Fit, Fix, Target
from airflow_stress_fixes.known_sources import RELEASES

FIXES_VARIABLE = "AIRFLOW_STRESS_FIXES"
REPORT_VARIABLE = "AIRFLOW_STRESS_FIX_REPORT_DIR"
STATUS_VARIABLE = "AIRFLOW_STRESS_FIX_STATUS_DIR"
COMPONENT_VARIABLE = "AIRFLOW_STRESS_COMPONENT"

Hook = Callable[[ModuleType], None]

_loaded: set[str] = set()
"""Names of the fixes that are applied in this process."""


def install_from_environment() -> None:
    """Arm the fixes that ``AIRFLOW_STRESS_FIXES`` names. An unknown name is reported, the others armed."""
    fixes: list[Fix] = []
    for name in catalogue.split(os.environ.get(FIXES_VARIABLE, "")):
        try:
            fixes.extend(fix for fix in catalogue.resolve(name) if fix not in fixes)
        except catalogue.FixSelectionError as error:
            _shout(str(error))
            report(name, "error", str(error))
    try:
        catalogue.check_compatible(fixes)
    except catalogue.FixSelectionError as error:
        _shout(f"{error}; no fix is active in this process")
        for fix in fixes:
            report(fix.name, "error", str(error))
        return
    install(fixes)


def install(fixes: Sequence[Fix]) -> None:
    """Arm fixes in this process; those whose module is already imported are applied at once."""
    if fixes and os.environ.get(STATUS_VARIABLE):
        atexit.register(_remove_status, os.environ[STATUS_VARIABLE], os.getpid())
    for fix in fixes:
        report(fix.name, "armed", fix.summary)
    waiting = [fix for fix in fixes if fix.module not in sys.modules]
    further = [(fix, name) for fix in fixes for name in fix.also]
    hooks: dict[str, list[Hook]] = {}
    for fix in waiting:
        hooks.setdefault(fix.module, []).append(functools.partial(_mount, fix))
    for fix, name in further:
        if name not in sys.modules:
            hooks.setdefault(name, []).append(functools.partial(_mount_further, fix, name))
    if hooks:
        sys.meta_path.insert(0, _Finder(hooks))
    for fix in fixes:
        if fix not in waiting:
            _mount(fix, sys.modules[fix.module])


class _Finder(importlib.abc.MetaPathFinder):
    """Finds nothing itself: asks the finders behind it, and hooks the loader of modules that have a fix."""

    def __init__(self, hooks: Mapping[str, Sequence[Hook]]) -> None:
        self.hooks = hooks

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        mine = self.hooks.get(fullname)
        if not mine:
            return None
        for finder in sys.meta_path:
            if isinstance(finder, _Finder):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                # On the loader's instance, which belongs to this spec alone: its class, and with it
                # everything that inspects the module (tracebacks, resources, pickling), stays what it was.
                execute = functools.partial(_execute, spec.loader.exec_module, mine)
                setattr(spec.loader, "exec_module", execute)  # noqa: B010 - mypy refuses to assign a method
                return spec
        return None


def _execute(execute: Callable[[ModuleType], None], hooks: Sequence[Hook], module: ModuleType) -> None:
    """Execute a module, then apply its fixes."""
    execute(module)
    for hook in hooks:
        hook(module)


def _mount(fix: Fix, module: ModuleType) -> None:
    """Judge the release, the database and the source, and patch; never raises."""
    try:
        reason = _foreign_release() or _foreign_database(fix)
        if reason is not None:
            message = f"REFUSED fix {fix.name}: {reason}; stock code stays"
            _shout(message)
            report(fix.name, "refused", message)
            return
        files = {target: _file_of(target, module) for target in fix.targets}
        found = {target: source.fingerprint(path, target.name) for target, path in files.items()}
        verdict = fix.judge(found)
        if verdict.fit is Fit.APPLIES:
            fix.apply(module)
            _loaded.add(fix.name)
            for name in fix.also:
                further = sys.modules.get(name)
                # A module that is still being executed imported this one: its own hook patches it at its end.
                if further is not None and not getattr(further.__spec__, "_initializing", False):
                    fix.also[name](further)
            report(fix.name, "loaded", f"source as in {_list(verdict.releases)}")
            if os.environ.get(STATUS_VARIABLE):
                _shout(f"loaded fix {fix.name} (process {os.getpid()})")
        elif verdict.fit is Fit.NOT_NEEDED:
            report(fix.name, "not_needed", f"source as in {_list(verdict.releases)}")
        else:
            message = _refusal(fix, files, found)
            _shout(message)
            report(fix.name, "refused", message)
    except Exception as error:
        _failed(fix, error)


def _mount_further(fix: Fix, name: str, module: ModuleType) -> None:
    """Patch a further module of a fix that is applied; never raises."""
    if fix.name in _loaded:
        try:
            fix.also[name](module)
        except Exception as error:
            _failed(fix, error)


def _failed(fix: Fix, error: Exception) -> None:
    detail = "".join(traceback.format_exception(error))
    _shout(f"fix {fix.name} failed to load, stock code stays:\n{detail}")
    report(fix.name, "error", detail)


def _foreign_release() -> str | None:
    """Why this release is refused; None if it was examined. A suffix (``+...``) is left to the fingerprints."""
    found = _release()
    if found.partition("+")[0] in RELEASES:
        return None
    return (
        f"Airflow {found} was not examined. Its unchanged functions may have callers that have changed; "
        f"examined are {RELEASES[0]} to {RELEASES[-1]} (fixes/README.md, Adding a release)"
    )


def _foreign_database(fix: Fix) -> str | None:
    """Why this process's database is refused; None if the fix was reasoned and tested on it, or needs none."""
    if not fix.databases:
        return None
    from airflow.configuration import conf

    backend = conf.get("database", "sql_alchemy_conn").partition(":")[0].partition("+")[0]
    # A process that must not use the database (a task's) is given an address that says so, and runs none of this.
    if backend in (*fix.databases, "airflow-db-not-allowed"):
        return None
    return (
        f"the database is {backend or 'unknown'}, and its reasoning about row locks holds for "
        f"{' and '.join(fix.databases)} only"
    )


def _file_of(target: Target, module: ModuleType) -> Path | None:
    """The file that this process runs, or would import, for a target."""
    loaded = module if module.__name__ == target.module else sys.modules.get(target.module)
    if loaded is not None and getattr(loaded, "__file__", None):
        return Path(str(loaded.__file__))
    return source.find_module_file(target.module, _roots())


def _roots() -> list[Path]:
    return [Path(entry or ".") for entry in sys.path]


def _refusal(fix: Fix, files: dict[Target, Path | None], found: dict[Target, str | None]) -> str:
    lines = [f"REFUSED fix {fix.name}: it doesn't know this source, stock code stays"]
    for target in fix.targets:
        known = target.known
        lines += [
            f"  target {target}",
            f"    file  {files[target] or 'not found'}",
            f"    found {found[target] or 'no such definition'} ({_list(target.releases(found[target])) or 'unknown'})",
            *(f"    known {fingerprint} ({releases})" for fingerprint, releases in known.items()),
        ]
    lines += [
        "  What to do: read what changed in the target and whether the fix is still right; then add the",
        "  fingerprint (python -m airflow_stress_fixes.source SITE_PACKAGES prints it) to known_sources.py,",
        f"  or take {fix.name} out of {FIXES_VARIABLE}.",
    ]
    return "\n".join(lines)


def _list(releases: frozenset[str]) -> str:
    return " ".join(sorted(releases))


def _shout(message: str) -> None:
    """Write a line to this process's stderr."""
    sys.stderr.write("".join(f"airflow-stress fixes: {line}\n" for line in message.splitlines()))
    sys.stderr.flush()


def report(fix: str, status: str, detail: str) -> None:
    """Append one line to this process's report and status, if their directories are set; a full disk makes noise."""
    directories = [os.environ[name] for name in (REPORT_VARIABLE, STATUS_VARIABLE) if os.environ.get(name)]
    if not directories:
        return
    line = json.dumps(
        {
            "t": time.time(),
            "component": _component(),
            "pid": os.getpid(),
            "fix": fix,
            "status": status,
            "detail": detail,
            "release": _release(),
        }
    )
    for directory in directories:
        try:
            folder = Path(directory)
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{_component()}-{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            _shout(f"the report could not be written: {error}")


def _remove_status(directory: str, pid: int) -> None:
    """At the end of a process; a forked child, which inherits this, keeps its parent's file."""
    if os.getpid() == pid:
        with contextlib.suppress(OSError):
            Path(directory, f"{_component()}-{pid}.jsonl").unlink()


def _component() -> str:
    return os.environ.get(COMPONENT_VARIABLE) or "unknown"


@functools.lru_cache(maxsize=1)
def _release() -> str:
    return source.release_of(_roots())
