"""The commands: parse, check, call.

Exit codes: 0 every race asked for was seen on the control arm and removed; 1 a race remains; 2 unknown; 3 the harness
or the machine failed; 64 bad arguments; 130 and 143 interrupted before any evidence.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Sequence

from stress.exits import EXIT_FAILED, EXIT_USAGE
from stress.matrix import arguments as matrix
from stress.parsers import command_parser, parser
from stress.pr import arguments as pr
from stress.words import joined, options_of


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

        return outside.run(plan.run_id, words, plan.directory, given["airflow"] or DEFAULT_RELEASE, plan.arms)

    from stress.run.lifecycle import Run
    from stress.screen import choose

    code = Run(plan, words, choose(tui=not options.no_tui)).execute()
    if in_container():
        hand_over(plan.directory)
    return code


def _repro(options: argparse.Namespace) -> int:
    from stress.explore.repro import Files, repro

    files = Files(html=options.html, pytest=options.pytest)
    return repro(options.races, options.airflow, options.fixes, options.times, files, as_json=options.json)


def _bisect(options: argparse.Namespace) -> int:
    from stress.explore.bisect import bisect

    return bisect(options.race, options.span, options.repo, options.fixes, options.times, as_json=options.json)


def _explore(options: argparse.Namespace) -> int:
    from stress.explore.plan import ExploreOptions
    from stress.explore.search import explore

    given = {each.name: getattr(options, each.name) for each in dataclasses.fields(ExploreOptions)}
    return explore(ExploreOptions(**given))


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

    return commands.compare(options.run_a, options.run_b, as_json=options.json)


def _list(options: argparse.Namespace) -> int:
    from stress import commands

    return commands.list_things(options.what, as_json=options.json)


def _doctor() -> int:
    from stress import commands

    return commands.doctor()


def _clean(options: argparse.Namespace) -> int:
    from stress import commands

    return commands.clean(ask=not options.yes)
