"""`stress fixes list` and `stress fixes diff`.

Exit codes: 0 printed; 64 bad arguments, a fix that the release does not need, or one that does not know the release; 3
the machine.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from stress import commands
from stress.arms.errors import UnknownRelease
from stress.arms.fix_diff import diff_of, refusal
from stress.arms.releases import Release, check
from stress.errors import StressError
from stress.exits import EXIT_FAILED, EXIT_USAGE


def fixes(action: str, name: str | None, airflow: str | None, *, as_json: bool) -> int:
    """List the fixes with what each does on a release, or print one as a diff against its source. The exit code."""
    mistakes: list[str] = []
    release = _release(airflow, mistakes) if airflow is not None else None
    if action == "list":
        if name is not None:
            mistakes.append(f"`stress fixes list` takes no name (it has {name!r})")
        return _mistaken(mistakes) or commands.list_fixes([release.version] if release else (), as_json=as_json)
    if as_json:
        mistakes.append("--json is for `stress fixes list`: a diff has one form")
    if airflow is None:
        mistakes.append("`stress fixes diff` needs --airflow VERSION: a diff is against the source of one release")
    if name is None:
        mistakes.append("`stress fixes diff` needs the NAME of a fix (`stress fixes list`)")
    elif (reason := refusal(name, release)) is not None:
        mistakes.append(reason)
    if mistakes or name is None or release is None:
        return _mistaken(mistakes)
    try:
        print(diff_of(name, release, _tell), end="")
    except StressError as error:
        _tell(str(error))
        return EXIT_FAILED
    return 0


def _mistaken(mistakes: Sequence[str]) -> int:
    for mistake in mistakes:
        _tell(mistake)
    return EXIT_USAGE if mistakes else 0


def _release(airflow: str, mistakes: list[str]) -> Release | None:
    try:
        return check(airflow)
    except UnknownRelease as error:
        mistakes.append(f"--airflow: {error}")
        return None


def _tell(text: str) -> None:
    print(f"stress: {text}", file=sys.stderr, flush=True)
