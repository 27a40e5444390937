"""The command line, checked whole: every mistake is reported before anything starts or is written."""

from __future__ import annotations

import argparse
import re
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from stress.durations import parse_duration
from stress.exits import EXIT_USAGE
from stress.layout import BUNDLE, ROOT
from stress.soak.state import Soak
from stress.words import Parser

PROGRAM = "python3 -m stress.soak"
LEAST_S = 60.0
"""The shortest run. A shorter one has no time for a block of each arm."""

_RUNS = (ROOT if ROOT != BUNDLE else Path.cwd()) / "runs"


class _Parser(Parser):
    program = "nightly"


def parser() -> Parser:
    """All options. Their values are checked later, together."""
    made = _Parser(
        prog=PROGRAM,
        description="One long run on containers, and everything that is worth keeping of it, however it ends.",
    )
    made.add_argument("--duration", metavar="TIME", help="how long the run lasts, such as 90m or 2h (default: 10m)")
    made.add_argument("--seed", metavar="N", help="repeat an earlier run's random choices (default: random; printed)")
    made.add_argument("--airflow", metavar="X.Y.Z", help="the release (default: docker-compose.yml's)")
    made.add_argument("--out", metavar="DIR", help="a new directory for everything (default: runs/nightly-TIME)")
    made.add_argument(
        "--beyond", metavar="TIME", help="for images, build, start and reports, on top of it (default: 20m)"
    )
    made.add_argument("--finish", action="store_true", help="complete the killed soak in --out")
    return made


def read(words: Sequence[str], least_s: float = LEAST_S) -> tuple[Soak, bool]:
    """The soak asked for, and whether an earlier one is to be finished. Exits with 64 and every mistake at once."""
    options, unknown = parser().parse_known_args(words)
    mistakes = [f"unknown option {word!r}" for word in unknown]
    soak = _killed(options, mistakes) if options.finish else _new(options, least_s, mistakes)
    if mistakes or soak is None:
        for mistake in mistakes:
            print(f"nightly: {mistake}", file=sys.stderr)
        raise SystemExit(EXIT_USAGE)
    return soak, options.finish


def _killed(options: argparse.Namespace, mistakes: list[str]) -> Soak | None:
    given = [f"--{name}" for name in ("duration", "seed", "airflow", "beyond") if getattr(options, name) is not None]
    if given:
        mistakes.append(f"--finish takes no {', '.join(given)}: the killed soak has them")
    if options.out is None:
        mistakes.append("--finish needs --out: the directory of the killed soak")
        return None
    try:
        return Soak.load(Path(options.out).absolute())
    except (OSError, ValueError, TypeError) as error:
        mistakes.append(f"--out {options.out!r} holds no soak to finish: {error}")
        return None


def _new(options: argparse.Namespace, least_s: float, mistakes: list[str]) -> Soak:
    now = time.strftime("%Y%m%d-%H%M%S")
    duration = options.duration if options.duration is not None else "10m"
    length_s = _duration("--duration", duration, least_s, mistakes)
    beyond = options.beyond if options.beyond is not None else "20m"
    beyond_s = _duration("--beyond", beyond, 1.0, mistakes)
    seed = secrets.randbelow(2**32)
    if options.seed is not None:
        if re.fullmatch(r"[0-9]{1,10}", options.seed) and int(options.seed) < 2**32:
            seed = int(options.seed)
        else:
            mistakes.append(f"--seed {options.seed!r}: write a whole number from 0 to {2**32 - 1}")
    if options.airflow is not None and not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", options.airflow):
        mistakes.append(f"--airflow {options.airflow!r}: write a release such as 3.2.1")
    out = Path(options.out).absolute() if options.out is not None else _RUNS / f"nightly-{now}"
    _make(out, options.out, mistakes)
    project = f"airflow-stress-nightly-{now}-{secrets.token_hex(2)}"
    return Soak(duration, length_s, beyond_s, seed, options.airflow, project, out=out)


def _duration(option: str, text: str, least_s: float, mistakes: list[str]) -> float:
    seconds = parse_duration(text)
    if seconds is None or seconds < least_s:
        mistakes.append(f"{option} {text!r}: write a time such as 90s, 10m or 1.5h, at least {least_s:g}s")
        return least_s
    return seconds


def _make(out: Path, option: str | None, mistakes: list[str]) -> None:
    """Make the soak's directory, unless there is any mistake."""
    if option == "":
        mistakes.append("--out '': name a directory")
    elif ":" in str(out):
        mistakes.append(f"--out {option!r}: Compose does not accept a colon in the path")
    else:
        try:
            if out.exists() and (not out.is_dir() or any(out.iterdir())):
                mistakes.append(f"--out {option!r} is not empty: name a new directory")
            elif not mistakes:
                (out / "runs").mkdir(parents=True)
        except OSError as error:
            mistakes.append(f"--out {option!r} can't be used: {error.strerror or error}")
