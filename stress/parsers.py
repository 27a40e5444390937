"""The commands and their options, as `--help` shows them. Imports nothing that takes time: every command reads this."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from stress import __version__
from stress.matrix import arguments as matrix
from stress.pr import arguments as pr
from stress.words import Parser

GROUPS = {
    "compare under load": ("run", "pr", "rc"),
    "known races": ("repro", "matrix", "bisect"),
    "unknown races": ("explore",),
    "fixes": ("fixes",),
    "runs and counts": ("analyze", "report", "compare", "judge"),
    "this machine": ("list", "doctor", "clean"),
}
"""The commands as `stress --help` groups them."""


class _Parser(Parser):
    program = "stress"


class _Root(_Parser):
    """The parser of `stress` itself: argparse lists commands without groups."""

    def format_help(self) -> str:
        """Usage, the commands in their groups, the options, an example."""
        (listed,) = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        rows = {row.dest: row for row in listed._choices_actions}
        options = [action for action in self._actions if action is not listed]
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        for title, actions in (
            *((title, [rows[name] for name in names]) for title, names in GROUPS.items()),
            ("options", options),
        ):
            formatter.start_section(title)
            formatter.add_arguments(actions)
            formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()


if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[_Parser]  # argparse has no public name for it


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    root = _Root(
        prog="stress",
        description="Makes the races of Apache Airflow appear, and decides whether a fix removed them.",
        epilog="examples: stress run; stress repro deadlock. `stress COMMAND --help` shows a command's options.",
    )
    root.add_argument("--version", action="version", version=f"airflow-stress {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_run(commands)
    _add_explorer(commands)
    _add_judge(commands)
    _add_stored_runs(commands)
    _add_machine(commands)
    return root


def _add_run(commands: _Commands) -> None:
    run = commands.add_parser(
        "run",
        help="compare arms under load until every race is decided or the budget ends",
        epilog="examples: stress run; stress run --race lost_mark --airflow 3.3.2 --budget 15m; "
        "stress run --arm stock --arm mine=diff:my.diff,fixes:none",
    )
    _add_question(run)
    _add_load(run)
    end = run.add_argument_group("duration and output")
    end.add_argument("--budget", default=None, help="longest duration of the run, such as 10m (default: 9.5m)")
    end.add_argument("--out", default=None, metavar="DIR", help="the run's directory (default: runs/<id>)")
    end.add_argument("--metrics-port", default=None, metavar="PORT", help="port for Prometheus metrics (default: 9108)")
    end.add_argument(
        "--whole-budget", action="store_true", help="continue after every race is decided, until the budget ends (soak)"
    )
    end.add_argument("--no-tui", action="store_true", help="print plain lines instead of the live view")
    run.add_argument("--no-observers", action="store_true", help=argparse.SUPPRESS)


def _add_question(run: argparse.ArgumentParser) -> None:
    question = run.add_argument_group("races and arms")
    question.add_argument(
        "--race",
        action="append",
        default=[],
        metavar="NAME",
        help="judge only this race, under its scenario (repeatable; `stress list races`), or all "
        "(default: those of the default scenarios that the arms' releases can have)",
    )
    question.add_argument(
        "--scenario", action="append", default=[], metavar="NAME", help="run only this scenario (repeatable)"
    )
    question.add_argument(
        "--arm",
        action="append",
        default=[],
        metavar="SPEC",
        help="NAME[=airflow:VERSION|PATH[@REV][+PATH...]|diff:FILE][,fixes:all|none|proposed|A+B]"
        "[,config:section.key=value]...; PATH is a wheel or a checkout of Airflow; the first is the "
        "control, the last is under test (default: stock, fixed)",
    )
    question.add_argument("--airflow", default=None, metavar="VERSION", help="Airflow release of arms that name none")


def _add_load(run: argparse.ArgumentParser) -> None:
    load = run.add_argument_group("load and faults")
    cluster = run.add_argument_group("cluster")
    cluster.add_argument(
        "--runtime",
        default=os.environ.get("AIRFLOW_STRESS_RUNTIME", "local"),
        help="local (processes; the default) or compose (containers; the default in the `stress` container)",
    )
    load.add_argument("--load", default=None, metavar="TIME", help="duration of the load in each block, such as 30s")
    load.add_argument(
        "--faults",
        default=None,
        metavar="A,B",
        help="faults to inject under load, or all (`stress list faults`); the seed determines when and where",
    )
    load.add_argument(
        "--seed", default=None, metavar="N", help="repeat an earlier run's random choices (default: random; printed)"
    )
    cluster.add_argument("--workers", default="hollow", help="hollow (default) or real: tasks run by LocalExecutor")
    cluster.add_argument(
        "--cold-start",
        action="store_true",
        help="start every component as its own program, instead of forking it from a process that has imported Airflow "
        "(the compose runtime always does)",
    )


def _add_explorer(commands: _Commands) -> None:
    repro = commands.add_parser(
        "repro",
        help="make a known race happen every time, and print how it happens",
        epilog="examples: stress repro deadlock; stress repro lost_mark --airflow 3.4.0b2 --times 20",
    )
    repro.add_argument(
        "races", metavar="RACE", nargs="+", help="a race or one of its reproducers (`stress list reproducers`), or all"
    )
    _add_code(repro)
    plays = repro.add_argument_group("plays and output")
    plays.add_argument("--times", default="1", metavar="N", help="number of runs of each reproducer (default: 1)")
    plays.add_argument("--html", default=None, metavar="FILE", help="also write how it happens as a page, for an issue")
    plays.add_argument(
        "--pytest",
        default=None,
        metavar="FILE",
        help="also write a test, which needs Airflow, PostgreSQL and pytest alone",
    )
    plays.add_argument("--json", action="store_true", help="print JSON instead of the listing and the counts")

    _add_explore(commands)
    _add_bisect(commands)
    pr.add_parser(commands)
    matrix.add_parsers(commands)
    _add_fixes(commands)


def _add_explore(commands: _Commands) -> None:
    explore = commands.add_parser(
        "explore",
        help="try every schedule of a pair of operations, to find unknown races",
        epilog="examples: stress explore state_update+dag_version_refresh; "
        "stress explore marking_all+trigger_cleanup --airflow 3.4.0b2 --replay A7B --times 20; "
        "stress explore state_update+clearing --save found; stress explore --replay found/FILE.json",
    )
    explore.add_argument(
        "pairs", metavar="PAIR", nargs="*", help="two or more operations, a+b+c (`stress list pairs`), or all"
    )
    _add_code(explore)
    explore.set_defaults(fixes=None)  # of a schedule file: those of the file
    search = explore.add_argument_group("search")
    search.add_argument("--preemptions", default="2", metavar="K", help="most preemptions in a schedule (default: 2)")
    search.add_argument(
        "--budget", default="5m", metavar="TIME", help="longest duration of each pair, such as 90s (default: 5m)"
    )
    search.add_argument(
        "--no-pruning", action="store_true", help="also play equivalent schedules, to check the pruning"
    )
    search.add_argument(
        "--save", default=None, metavar="DIR", help="write the shortest schedule of each kind of failure as a file"
    )
    draw = explore.add_argument_group("schedules that are drawn, for pairs that are too large")
    draw.add_argument(
        "--scheduler",
        default="bounded",
        metavar="S",
        help="bounded (all schedules; default), random (uniform), or pct (random priorities)",
    )
    draw.add_argument("--schedules", default=None, metavar="N", help="number of schedules to draw (default: 200)")
    draw.add_argument("--seed", default=None, metavar="N", help="seed of the drawing (default: 1)")
    draw.add_argument("--depth", default=None, metavar="D", help="of pct: constraints of a failure (default: 3)")
    replay = explore.add_argument_group("replay")
    replay.add_argument(
        "--replay",
        default=None,
        metavar="SCHEDULE|FILE",
        help="play only this schedule, and print its witness; of a file only if the sources are the same",
    )
    replay.add_argument("--times", default="1", metavar="N", help="number of replays (default: 1)")


def _add_code(command: argparse.ArgumentParser) -> None:
    code = command.add_argument_group("release and fixes")
    code.add_argument(
        "--airflow",
        default=None,
        metavar="CODE",
        help="release, or code laid over one: VERSION|PATH[@REV][+PATH...]|[VERSION,]diff:FILE "
        "(default: 3.2.1, or for repro one with the race)",
    )
    code.add_argument(
        "--fixes",
        default="stock",
        metavar="F",
        help="fixes to mount: stock (none; default), proposed, fixed (all), or NAME,...",
    )


def _add_judge(commands: _Commands) -> None:
    judge = commands.add_parser(
        "judge",
        help="judge block counts from any source, one experiment a line",
        description="Reads experiments, one JSON object a line, and prints one verdict a line, judged as a run would "
        "be: after each block, stopping where a run stops.",
        epilog='example: echo \'{"control": "a", "under_test": "b", "races": ["x"], "blocks": [{"arm": "a", "counts": '
        '{"x": [3, 100]}}, {"arm": "b", "counts": {"x": [0, 100]}}]}\' | stress judge',
    )
    judge.add_argument("file", metavar="FILE", nargs="?", default="-", help="a file, or - for standard input (default)")


def _add_stored_runs(commands: _Commands) -> None:
    for name, text in (
        ("analyze", "judge a stored history again"),
        ("report", "write the reports of a stored run again"),
    ):
        command = commands.add_parser(name, help=text, epilog=f"example: stress {name} runs/latest")
        command.add_argument("run_dir", metavar="RUN_DIR", help="the run's directory")

    compare = commands.add_parser(
        "compare", help="print two runs side by side", epilog="example: stress compare runs/before runs/latest --json"
    )
    compare.add_argument("run_a", metavar="RUN_A", help="a run's directory")
    compare.add_argument("run_b", metavar="RUN_B", help="another run's directory")
    compare.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_machine(commands: _Commands) -> None:
    listing = commands.add_parser(
        "list",
        help="list scenarios, fixes, releases, races, faults, pairs or reproducers",
        epilog="examples: stress list races; stress list pairs --json",
    )
    listing.add_argument("what", metavar="WHAT", help="scenarios, fixes, releases, races, faults, pairs or reproducers")
    listing.add_argument("--json", action="store_true", help="print a JSON array instead of a table")

    commands.add_parser("doctor", help="check this machine's prerequisites", epilog="example: stress doctor")
    clean = commands.add_parser(
        "clean", help="list and remove leftovers of crashed runs", epilog="example: stress clean --yes"
    )
    clean.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def _add_bisect(commands: _Commands) -> None:
    bisect = commands.add_parser(
        "bisect",
        help="find which release or commit brought a race, and which removed it",
        description="Plays the race's reproducers on a line of releases, or on the commits of a checkout of Airflow.",
        epilog="examples: stress bisect deadlock 3.1.0..3.3.2; stress bisect deadlock v1..main --repo ~/src/airflow",
    )
    bisect.add_argument("race", metavar="RACE", help="a race or one of its reproducers")
    bisect.add_argument("span", metavar="FIRST..LAST", help="the oldest and the newest release or revision")
    bisect.add_argument("--repo", default=None, metavar="PATH", help="a checkout of Airflow, whose revisions are meant")
    bisect.add_argument("--fixes", default="stock", metavar="F", help="stock (default), proposed, fixed, NAME,...")
    bisect.add_argument("--times", default="3", metavar="N", help="how often to play each reproducer (default: 3)")
    bisect.add_argument("--json", action="store_true", help="print JSON instead of text")


def _add_fixes(commands: _Commands) -> None:
    fixes = commands.add_parser(
        "fixes",
        help="list the fixes, or print one as a diff against a release's source",
        description="Lists the fixes and what each does on a release, or prints one as a unified diff against that "
        "release's source, with the paths of Airflow's repository.",
        epilog="examples: stress fixes list --airflow 3.2.1; "
        "stress fixes diff deadline_claim --airflow 3.2.1 > deadline_claim.diff",
    )
    fixes.add_argument("action", metavar="ACTION", choices=("list", "diff"), help="list or diff")
    fixes.add_argument("name", metavar="NAME", nargs="?", default=None, help="the fix to print as a diff")
    fixes.add_argument(
        "--airflow", default=None, metavar="VERSION", help="release (list: default all with a committed lock)"
    )
    fixes.add_argument("--json", action="store_true", help="list: print a JSON array instead of a table")


def command_parser(root: argparse.ArgumentParser, command: str) -> argparse.ArgumentParser:
    """The parser of one command, or the root parser if there is no such command."""
    for action in root._actions:  # argparse has no public list of them
        if isinstance(action, argparse._SubParsersAction):
            found: argparse.ArgumentParser = action.choices.get(command, root)
            return found
    return root
