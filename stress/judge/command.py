"""`stress judge [FILE|-]`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from stress.exits import EXIT_USAGE
from stress.judge.experiment import BadExperiments, answer, read

_MOST_MISTAKES = 20


def judge(file: str) -> int:
    """Print one verdict a line. Exit code 0 if every line was an experiment, 64 if one was not or the file is missing.

    Every line is checked before the first verdict is printed.
    """
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as lines:
            experiments = read(lines)
    except OSError as error:
        print(f"stress: {file} cannot be read: {error.strerror or error}", file=sys.stderr)
        return EXIT_USAGE
    except BadExperiments as bad:
        for mistake in bad.mistakes[:_MOST_MISTAKES]:
            print(f"stress: {mistake}", file=sys.stderr)
        if len(bad.mistakes) > _MOST_MISTAKES:
            print(f"stress: and {len(bad.mistakes) - _MOST_MISTAKES} more mistakes", file=sys.stderr)
        return EXIT_USAGE
    for experiment in experiments:
        print(answer(experiment))
    return 0
