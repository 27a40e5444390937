"""The options of `stress matrix` and `stress rc`. Imports nothing that takes time: every command reads this."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Any]  # argparse has no public name for it


def add_parsers(commands: Commands) -> None:
    """Add both commands."""
    _add_matrix(commands)
    _add_rc(commands)


def matrix(options: argparse.Namespace) -> int:
    """Run `stress matrix`; the exit code."""
    from stress.matrix.command import matrix

    return matrix(options.airflow, options.race, options.times, options.out, as_json=options.json)


def rc(options: argparse.Namespace) -> int:
    """Run `stress rc`; the exit code."""
    from stress.matrix.rc import RcOptions, rc

    return rc(
        RcOptions(
            version=options.version,
            against=options.against,
            races=options.race,
            times=options.times,
            load=options.load,
            budget=options.budget,
            port=options.metrics_port,
            out=options.out,
        ),
        as_json=options.json,
    )


def _add_matrix(commands: Commands) -> None:
    matrix = commands.add_parser(
        "matrix",
        help="play the reproducers of races on several releases, and print one table",
        description="Plays each race's reproducers on each release. Each cell is stored at once: a repeated command "
        "with the same --out plays only the cells that are missing.",
        epilog="example: stress matrix --airflow 3.2.1,3.3.2,3.4.0b2 --race deadlock --out runs/matrix",
    )
    matrix.add_argument("--airflow", required=True, metavar="A,B,C", help="the releases")
    _add_cells(matrix.add_argument_group("cells and output"))


def _add_rc(commands: Commands) -> None:
    rc = commands.add_parser(
        "rc",
        help="compare the races of a release, or a candidate, with those of the release before it",
        description="Plays each race's reproducers on both releases, then runs both under load, and says of each race "
        "whether it is addressed, remains or is new. Writes status.md for the issue on the candidate's testing, and "
        "rc.html. A repeated command with the same --out does only what is missing.",
        epilog="examples: stress rc 3.4.0b2; stress rc 3.3.2 --against 3.2.2 --race deadlock --no-load",
    )
    rc.add_argument("version", metavar="VERSION", help="the release or pre-release")
    rc.add_argument(
        "--against", default=None, metavar="VERSION", help="an earlier release (default: the last final one before it)"
    )
    load = rc.add_argument_group("load")
    load.add_argument("--load", action="store_true", default=True, help="run both releases under load, too (default)")
    load.add_argument("--no-load", action="store_false", dest="load", help="play the reproducers only")
    load.add_argument("--budget", default="20m", help="longest duration of the run under load (default: 20m)")
    load.add_argument(
        "--metrics-port", default=None, metavar="PORT", help="port for Prometheus metrics (default: 9108)"
    )
    _add_cells(rc.add_argument_group("cells and output"))


def _add_cells(command: argparse._ArgumentGroup) -> None:
    command.add_argument(
        "--race",
        action="append",
        default=[],
        metavar="NAME",
        help="only this race (repeatable; default: every race that has a reproducer)",
    )
    command.add_argument(
        "--times",
        default="20",
        metavar="N",
        help="most plays of each reproducer; it ends when the race has occurred 3 times (default: 20)",
    )
    command.add_argument("--out", default=None, metavar="DIR", help="directory of the results (default: runs/<id>)")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
