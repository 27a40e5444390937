"""The options of `stress pr`."""

from __future__ import annotations

import argparse
from typing import Any

DEFAULT_TIMES = "100"
"""Without an occurrence in as many plays, the race's share of plays is below 3 % (95 %)."""


def add_parser(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    command = commands.add_parser(
        "pr",
        help="decide whether a pull request removes a race, and write a comment for it",
        description="Compares the merge base (the control) with the head of a branch: by reproducers first, under load "
        "second. Writes DIR/comment.md, ready for the pull request.",
        epilog="example: stress pr --repo ~/src/airflow --base main --head my-branch --race deadlock",
    )
    code = command.add_argument_group("code")
    races = command.add_argument_group("races")
    load = command.add_argument_group("load")
    output = command.add_argument_group("output")
    code.add_argument("--repo", default="", metavar="PATH", help="a checkout of Airflow (required)")
    code.add_argument("--head", default="", metavar="REV", help="the revision under test (required)")
    code.add_argument(
        "--base",
        default=None,
        metavar="REV",
        help="what the head is to be merged into; the control is their merge base (default: main, or origin/main)",
    )
    races.add_argument(
        "--race",
        action="append",
        default=[],
        metavar="NAME",
        help="a race or one of its reproducers (repeatable; default: those whose code the diff changes)",
    )
    races.add_argument(
        "--times",
        default=DEFAULT_TIMES,
        metavar="N",
        help=f"number of plays of each reproducer on each arm (default: {DEFAULT_TIMES})",
    )
    load.add_argument("--no-load", action="store_true", help="decide by reproducers alone, without a cluster")
    load.add_argument("--budget", default="9.5m", help="longest duration of the load, such as 10m (default: 9.5m)")
    load.add_argument(
        "--metrics-port", default="9108", metavar="PORT", help="port for Prometheus metrics (default: 9108)"
    )
    output.add_argument("--out", default=None, metavar="DIR", help="directory of the results (default: prs/<head>)")
    output.add_argument("--json", action="store_true", help="print JSON instead of the comment")


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit code."""
    from stress.pr.command import pr
    from stress.pr.request import Words

    words = Words(
        repo=options.repo,
        head=options.head,
        base=options.base,
        races=tuple(options.race),
        times=options.times,
        load=not options.no_load,
        budget=options.budget,
        metrics_port=options.metrics_port,
        out=options.out,
    )
    return pr(words, as_json=options.json)
