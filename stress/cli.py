"""The commands: parse, check, call.

Exit codes: 0 every race asked for was seen on the control arm and removed; 1 a race remains; 2 unknown; 3 the harness
or the machine failed; 64 bad arguments; 130 and 143 interrupted before any evidence.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from stress import __version__
from stress.exits import EXIT_FAILED, EXIT_USAGE
from stress.matrix import arguments as matrix
from stress.pr import arguments as pr
from stress.words import Parser, joined, options_of


class _Parser(Parser):
    program = "stress"


if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[_Parser]  # argparse has no public name for it


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    root = _Parser(
        prog="stress", description="Makes the races of Apache Airflow appear, and decides whether a fix removed them."
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
    run = commands.add_parser("run", help="compare arms under load until every race is decided or the budget ends")
    run.add_argument(
        "--race",
        action="append",
        default=[],
        metavar="NAME",
        help="judge only this race, under its scenario (repeatable; `stress list races`), or all "
        "(default: those of the default scenarios that the arms' releases can have)",
    )
    run.add_argument(
        "--scenario", action="append", default=[], metavar="NAME", help="run only this scenario (repeatable)"
    )
    run.add_argument(
        "--arm",
        action="append",
        default=[],
        metavar="SPEC",
        help="NAME[=airflow:VERSION|PATH[@REV][+PATH...]|diff:FILE][,fixes:all|none|proposed|A+B]"
        "[,config:section.key=value]...; PATH is a wheel or a checkout of Airflow; the first is the "
        "control, the last is under test (default: stock, fixed)",
    )
    run.add_argument(
        "--runtime",
        default=os.environ.get("AIRFLOW_STRESS_RUNTIME", "local"),
        help="local (processes; the default) or compose (containers; the default in the `stress` container)",
    )
    run.add_argument("--airflow", default=None, metavar="VERSION", help="Airflow release of arms that name none")
    run.add_argument("--budget", default=None, help="longest duration of the run, such as 10m (default: 9.5m)")
    run.add_argument("--load", default=None, metavar="TIME", help="duration of the load in each block, such as 30s")
    run.add_argument(
        "--faults",
        default=None,
        metavar="A,B",
        help="faults to inject under load, or all (`stress list faults`); the seed determines when and where",
    )
    run.add_argument(
        "--seed", default=None, metavar="N", help="repeat an earlier run's random choices (default: random; printed)"
    )
    run.add_argument("--out", default=None, metavar="DIR", help="the run's directory (default: runs/<id>)")
    run.add_argument("--workers", default="hollow", help="hollow (default) or real: tasks run by LocalExecutor")
    run.add_argument("--metrics-port", default=None, metavar="PORT", help="port for Prometheus metrics (default: 9108)")
    run.add_argument(
        "--whole-budget", action="store_true", help="continue after every race is decided, until the budget ends (soak)"
    )
    run.add_argument(
        "--cold-start",
        action="store_true",
        help="start every component as its own program, instead of forking it from a process that has imported Airflow "
        "(the compose runtime always does)",
    )
    run.add_argument("--no-tui", action="store_true", help="print plain lines instead of the live view")
    run.add_argument("--no-observers", action="store_true", help=argparse.SUPPRESS)


def _add_explorer(commands: _Commands) -> None:
    repro = commands.add_parser("repro", help="make a known race happen every time, and print how it happens")
    repro.add_argument(
        "races", metavar="RACE", nargs="+", help="a race or one of its reproducers (`stress list reproducers`), or all"
    )
    explore = commands.add_parser("explore", help="try every schedule of a pair of operations, to find unknown races")
    explore.add_argument("pairs", metavar="PAIR", nargs="+", help="a pair of operations (`stress list pairs`), or all")
    for command in (repro, explore):
        command.add_argument(
            "--airflow",
            default=None,
            metavar="CODE",
            help="release, or code laid over one: VERSION|PATH[@REV][+PATH...]|[VERSION,]diff:FILE "
            "(default: 3.2.1, or for repro one with the race)",
        )
        command.add_argument(
            "--fixes",
            default="stock",
            metavar="F",
            help="fixes to mount: stock (none; default), proposed, fixed (all), or NAME,...",
        )
    repro.add_argument("--times", default="1", metavar="N", help="number of runs of each reproducer (default: 1)")
    repro.add_argument("--html", default=None, metavar="FILE", help="also write how it happens as a page, for an issue")
    explore.add_argument("--preemptions", default="2", metavar="K", help="most preemptions in a schedule (default: 2)")
    explore.add_argument(
        "--replay", default=None, metavar="SCHEDULE", help="play only this schedule, and print its witness"
    )
    explore.add_argument("--times", default="1", metavar="N", help="number of replays (default: 1)")
    explore.add_argument(
        "--no-pruning", action="store_true", help="also play equivalent schedules, to check the pruning"
    )
    explore.add_argument(
        "--budget", default="5m", metavar="TIME", help="longest duration of each pair, such as 90s (default: 5m)"
    )

    _add_bisect(commands)
    pr.add_parser(commands)
    matrix.add_parsers(commands)
    _add_fixes(commands)


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
        command = commands.add_parser(name, help=text)
        command.add_argument("run_dir", metavar="RUN_DIR")

    compare = commands.add_parser("compare", help="print two runs side by side")
    compare.add_argument("run_a", metavar="RUN_A")
    compare.add_argument("run_b", metavar="RUN_B")


def _add_machine(commands: _Commands) -> None:
    listing = commands.add_parser("list", help="list scenarios, fixes, releases, races, faults, pairs or reproducers")
    listing.add_argument("what", metavar="WHAT", help="scenarios, fixes, releases, races, faults, pairs or reproducers")
    listing.add_argument("--json", action="store_true", help="print a JSON array instead of a table")

    commands.add_parser("doctor", help="check this machine's prerequisites")
    clean = commands.add_parser("clean", help="list and remove leftovers of crashed runs")
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    root = parser()
    mistakes: list[str] = []
    command = command_parser(root, words[0] if words else "")
    if not {"-h", "--help"} & set(words):
        words, mistakes = joined(words, *options_of(command))
    if mistakes and words[0] != "run":
        command.error(mistakes[0])
    options, surplus = root.parse_known_args(words)
    if surplus:
        mistakes.append(f"there is no option or argument {', '.join(surplus)} (see 'stress {options.command} --help')")
        if options.command != "run":
            command.error(mistakes[-1])
    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "run": lambda o: _run(o, words, mistakes),
        "repro": _repro,
        "explore": _explore,
        "bisect": _bisect,
        "pr": pr.run,
        "matrix": matrix.matrix,
        "rc": matrix.rc,
        "fixes": _fixes,
        "judge": _judge,
        "analyze": _analyze,
        "report": _report,
        "compare": _compare,
        "list": _list,
        "doctor": lambda _: _doctor(),
        "clean": _clean,
    }
    try:
        code = commands[options.command](options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe (`| head`). Without this, Python would report the error again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        # `run` handles signals itself. What other commands started has already ended during unwinding.
        print("stress: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    return code


def _run(options: argparse.Namespace, words: list[str], mistakes: list[str]) -> int:
    # Imported here, as in every command: the statistics alone take a second to import, and bad arguments must not wait.
    from stress.arms.releases import DEFAULT_RELEASE
    from stress.layout import hand_over
    from stress.plan import BadOptions, Options, Plan, check, in_container

    given = {
        # docker-compose.yml passes the release of the project's own image to the container.
        "airflow": options.airflow or os.environ.get("AIRFLOW_STRESS_RELEASE"),
        "budget": options.budget,
        "metrics_port": options.metrics_port,
    }
    plan: Plan | None = None
    machine: tuple[str, ...] = ()
    try:
        plan = check(
            Options(
                scenarios=tuple(options.scenario),
                races=tuple(options.race),
                arms=tuple(options.arm),
                runtime=options.runtime,
                load=options.load,
                seed=options.seed,
                out=options.out,
                faults=options.faults,
                workers=options.workers,
                observers=not options.no_observers,
                whole_budget=options.whole_budget,
                cold_start=options.cold_start,
                **{name: value for name, value in given.items() if value is not None},
            )
        )
    except BadOptions as bad:
        mistakes, machine = [*mistakes, *bad.mistakes], bad.machine
    if plan is None or mistakes:
        for line in (*mistakes, *machine):
            print(f"stress: {line}", file=sys.stderr)
        return EXIT_USAGE if mistakes else EXIT_FAILED

    if plan.runtime == "compose" and not in_container():
        from stress.cluster.compose import outside

        return outside.run(plan.run_id, words, plan.directory, given["airflow"] or DEFAULT_RELEASE)

    from stress.run.lifecycle import Run
    from stress.screen import choose

    code = Run(plan, words, choose(tui=not options.no_tui)).execute()
    if in_container():
        hand_over(plan.directory)
    return code


def _repro(options: argparse.Namespace) -> int:
    from stress.explore.repro import repro

    return repro(options.races, options.airflow, options.fixes, options.times, options.html)


def _bisect(options: argparse.Namespace) -> int:
    from stress.explore.bisect import bisect

    return bisect(options.race, options.span, options.repo, options.fixes, options.times, as_json=options.json)


def _explore(options: argparse.Namespace) -> int:
    from stress.explore.search import ExploreOptions, explore

    return explore(
        ExploreOptions(
            options.pairs,
            options.airflow,
            options.fixes,
            options.preemptions,
            options.replay,
            options.budget,
            options.times,
            options.no_pruning,
        )
    )


def _fixes(options: argparse.Namespace) -> int:
    from stress.fixes_command import fixes

    return fixes(options.action, options.name, options.airflow, as_json=options.json)


def _judge(options: argparse.Namespace) -> int:
    from stress.judge.command import judge

    return judge(options.file)


def _analyze(options: argparse.Namespace) -> int:
    from stress import commands

    return commands.analyze(options.run_dir)


def _report(options: argparse.Namespace) -> int:
    from stress import commands

    return commands.report(options.run_dir)


def _compare(options: argparse.Namespace) -> int:
    from stress import commands

    return commands.compare(options.run_a, options.run_b)


def _list(options: argparse.Namespace) -> int:
    from stress import commands

    return commands.list_things(options.what, as_json=options.json)


def _doctor() -> int:
    from stress import commands

    return commands.doctor()


def _clean(options: argparse.Namespace) -> int:
    from stress import commands

    return commands.clean(ask=not options.yes)
