"""`stress pr`: the reproducers on both revisions, then the load, then the comment and `junit.xml`.

Exit codes: 0 every race was seen on the merge base and is removed by the head; 1 one remains, is only reduced, or is
traded for harm; 2 unknown; 3 the machine, or a revision from which Airflow cannot be imported; 64 bad arguments.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Any

from stress.errors import StressError
from stress.exits import EXIT_FAILED, EXIT_USAGE
from stress.explore import options
from stress.explore.outcome import Outcome, outcomes
from stress.plan import BadOptions
from stress.pr import junit
from stress.pr.comment import Load, command, headline, render
from stress.pr.request import Request, Words, request_of, with_load
from stress.pr.verdict import Judged, exit_code, judge, upper95
from stress.report import results_json
from stress.results import RunState


def pr(words: Words, *, as_json: bool) -> int:
    """Compare, write the comment and `junit.xml`, and print the comment. The exit code."""
    started_at = time.time()
    try:
        request = request_of(words)
    except BadOptions as bad:
        for line in (*bad.mistakes, *bad.machine):
            print(f"stress: {line}", file=sys.stderr)
        return EXIT_USAGE if bad.mistakes else EXIT_FAILED
    for name, why in request.reasons.items():
        options.progress(f"race {name}: {why}")
    try:
        control = outcomes(request.control, request.reproducers, request.times, options.progress)
        under_test = outcomes(request.under_test, request.reproducers, request.times, options.progress)
        for before, after in zip(control, under_test, strict=True):
            options.progress(f"{before.reproducer}: before {before}, after {after}")
        asked = bool(words.races)
        judged, load, code = _judged(request, control, under_test, asked=asked)
        request.directory.mkdir(parents=True, exist_ok=True)
        comment = render(request, judged, load)
        (request.directory / "comment.md").write_text(comment, encoding="utf-8")
        cases = junit.render(request, judged, load, asked=asked, started_at=started_at)
        (request.directory / "junit.xml").write_text(cases, encoding="utf-8")
    except (StressError, OSError) as error:
        print(f"stress: {error}", file=sys.stderr)
        return EXIT_FAILED
    print(_as_json(request, judged, load) if as_json else comment)
    print(f"stress: {headline(judged)}; comment: {request.directory / 'comment.md'}", file=sys.stderr)
    return code


def _judged(
    request: Request, control: Sequence[Outcome], under_test: Sequence[Outcome], *, asked: bool
) -> tuple[list[Judged], Load | None, int]:
    """The verdicts, the load if there was one, and the exit code."""
    race_of = {each.name: each.race for each in request.reproducers}

    def of(race: str, found: Sequence[Outcome]) -> list[Outcome]:
        return [outcome for outcome in found if race_of[outcome.reproducer] == race]

    loaded: list[str] = []
    if request.load is not None:
        # A race that the reproducers do not show on the control, or still show on the head, is decided already.
        loaded = [
            race
            for race in with_load(request.races)
            if not of(race, control)
            or judge(race, of(race, control), of(race, under_test), None, loaded=False).state == "removed"
        ]
    load, code = _run(request, loaded) if loaded else (None, 0)
    verdicts = load.results.races if load is not None else {}
    judged = [
        judge(race, of(race, control), of(race, under_test), verdicts.get(race), loaded=race in loaded)
        for race in request.races
    ]
    return judged, load, code if code >= EXIT_FAILED else exit_code(judged, asked=asked)


def _run(request: Request, races: Sequence[str]) -> tuple[Load, int]:
    """The run under load. Its own lines go to stderr. Raises StressError."""
    from stress.run.lifecycle import Run
    from stress.run.stored import analyse
    from stress.screen import PlainScreen

    try:
        plan = request.plan(races)
    except BadOptions as bad:
        raise StressError(str(bad)) from bad
    words = ["run", *(word for race in races for word in ("--race", race))]
    assert request.load is not None
    words += [word for arm in request.load.arms for word in ("--arm", arm)]
    options.progress(f"load: {shlex.join(['stress', *words])}")
    with contextlib.redirect_stdout(sys.stderr):
        code = Run(plan, words, PlainScreen()).execute()
    try:
        manifest, results = analyse(plan.directory)
    except (OSError, ValueError) as error:
        raise StressError(f"the load left no result: {error}") from error
    return Load(results, manifest.facts()), EXIT_FAILED if results.state is RunState.FAILED else code


def _as_json(request: Request, judged: Sequence[Judged], load: Load | None) -> str:
    def facts(outcome: Outcome) -> dict[str, Any]:
        bound = upper95(outcome.plays) if outcome.plays and not outcome.occurred else None
        return {
            "name": outcome.reproducer,
            "occurred": outcome.occurred,
            "plays": outcome.plays,
            "upper95": bound,
            "reason": outcome.reason,
        }

    document = {
        "base": {"revision": request.base, "airflow": request.control.version},
        "head": {"revision": request.head, "airflow": request.under_test.version},
        "chosen": dict(request.reasons),
        "races": [
            {
                "race": each.race,
                "verdict": each.state,
                "reason": each.reason,
                "base": [facts(outcome) for outcome in each.control],
                "head": [facts(outcome) for outcome in each.under_test],
                "load": str(each.load.verdict) if each.load is not None else None,
            }
            for each in judged
        ],
        "harm": [
            {"measure": m.measure, **m.values, "verdict": m.verdict, "p_value": m.p_value}
            for m in (load.results.harm if load is not None else ())
        ],
        "costs": [results_json.cost(cost) for cost in (load.results.costs if load is not None else ())],
        "comment": str(request.directory / "comment.md"),
        "junit": str(request.directory / "junit.xml"),
        "command": command(request),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
