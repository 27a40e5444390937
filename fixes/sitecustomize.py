"""Boots the mount of the fixes: Python imports this file at start if its directory is on ``PYTHONPATH``.

It promises three things to every Python process that inherits that variable, Airflow or not:

- with ``AIRFLOW_STRESS_FIXES`` unset or empty it imports nothing and changes nothing;
- a failure of the mount never stops the process and is never silent: it is printed to stderr, and written to
  the report directory if there is one, so that the harness sees a process without its fixes;
- a ``sitecustomize`` further down ``sys.path``, which this file shadows, still runs, last and under its own
  name.

Python only prints one line about a failing ``sitecustomize`` and goes on, so the mount does its own
reporting.
"""

import os
import sys


def _mount() -> None:
    """Install the requested fixes; on failure say so and leave stock code running."""
    if not os.environ.get("AIRFLOW_STRESS_FIXES", "").strip():
        return
    try:
        from airflow_stress_fixes import mount

        mount.install_from_environment()
    # Reported, not raised: the process under test must start, on stock code, for any defect of a fix.
    except BaseException as error:
        _report_failure(error)


def _report_failure(error: BaseException) -> None:
    """Print the failure and append it to the report, without help from the package that may be broken."""
    import json
    import time
    import traceback
    from pathlib import Path

    sys.stderr.write(f"airflow-stress fixes: THE MOUNT FAILED, no fix is active in this process (pid {os.getpid()})\n")
    traceback.print_exception(type(error), error, error.__traceback__)
    component = os.environ.get("AIRFLOW_STRESS_COMPONENT") or "unknown"
    line = {
        "t": time.time(),
        "component": component,
        "pid": os.getpid(),
        "fix": os.environ["AIRFLOW_STRESS_FIXES"],
        "status": "error",
        "detail": f"the mount failed: {type(error).__name__}: {error}",
        "release": "unknown",
    }
    for variable in ("AIRFLOW_STRESS_FIX_REPORT_DIR", "AIRFLOW_STRESS_FIX_STATUS_DIR"):
        directory = os.environ.get(variable)
        if not directory:
            continue
        try:
            Path(directory).mkdir(parents=True, exist_ok=True)
            with Path(directory, f"{component}-{os.getpid()}.jsonl").open("a", encoding="utf-8") as report:
                report.write(json.dumps(line) + "\n")
        except OSError as unwritable:
            sys.stderr.write(f"airflow-stress fixes: the report could not be written: {unwritable}\n")


def _run_shadowed() -> None:
    """Run the next ``sitecustomize`` on ``sys.path``; ``site`` handles its errors as if we weren't here."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    here = os.path.realpath(f"{__file__}/..")
    elsewhere = [entry for entry in sys.path if os.path.realpath(entry or ".") != here]
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    # A later import of `sitecustomize` means the one of this machine, not ours.
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


_mount()
_run_shadowed()
