"""`stress rc`: the races of a release, compared with those of an earlier one.

First the reproducers on both releases, which takes a minute; then, unless `--no-load`, one run under load with the two
releases as arms, which takes its whole budget as long as a race is undecided: one that neither release has always is.

Exit codes: 0 no race remains or is new on the release, 1 one does, 2 a race could not be answered or the run under load
failed, 3 the machine, 64 bad arguments.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from stress.arms.releases import Release
from stress.cache import CacheLocked, exclusive
from stress.exits import EXIT_FAILED
from stress.explore.options import progress
from stress.layout import seen_outside
from stress.matrix import asked, load, markdown, page
from stress.matrix.asked import Faults, Refused
from stress.matrix.cells import State
from stress.matrix.command import LOCK
from stress.matrix.comparison import Comparison, columns, cost_table, document, table
from stress.matrix.fill import Cells, fill
from stress.matrix.load import LoadResult, LoadStage
from stress.matrix.status import row
from stress.matrix.store import Parameters, Store, made_by
from stress.plan import BadOptions
from stress.races.registry import RACES

DOCUMENT, MARKDOWN, PAGE = "rc.json", "status.md", "rc.html"


@dataclass(frozen=True)
class RcOptions:
    """The options as the user gave them, unchecked."""

    version: str
    against: str | None
    races: Sequence[str]
    times: str
    load: bool
    budget: str
    port: str | None
    out: str | None


@dataclass(frozen=True)
class _Asked:
    previous: Release
    this: Release
    parameters: Parameters
    store: Store
    stage: LoadStage | None

    @property
    def command(self) -> str:
        """It repeats the comparison."""
        kept = self.parameters
        words = ["stress", "rc", self.this.version, "--against", self.previous.version]
        if kept.races != asked.races((), Faults()):
            words += [word for race in kept.races for word in ("--race", race)]
        words += ["--times", str(kept.times), *(["--budget", kept.load] if kept.load else ["--no-load"])]
        return shlex.join(words)


def rc(options: RcOptions, *, as_json: bool) -> int:
    """Compare a release with an earlier one, print the table, and write the reports. The exit code."""
    try:
        what = _check(options)
    except Refused as refused:
        return refused.tell()
    directory = what.store.directory
    try:
        with exclusive(directory / LOCK, f"fill {directory}", 0.0, progress):
            what.store.open(what.parameters)
            cells = fill(what.store, (what.previous, what.this), what.parameters.races, what.parameters.times, progress)
            found = _compare(what, cells, _load(what.stage))
            _write(what, found, cells)
    except (OSError, CacheLocked) as error:
        print(f"stress: {error}", file=sys.stderr)
        return EXIT_FAILED
    if as_json:
        print(json.dumps(document(found), indent=2, ensure_ascii=False))
    else:
        print(_text(found))
        print(f"page: {seen_outside(directory / PAGE)}\nfor the issue: {seen_outside(directory / MARKDOWN)}")
    return found.exit_code


def _check(options: RcOptions) -> _Asked:
    faults = Faults()
    this = asked.release(options.version, "VERSION", faults)
    previous = None
    if options.against is not None:
        previous = asked.release(options.against, "--against", faults)
    elif this is not None:
        previous = asked.final_before(this, faults)
    if this is not None and previous is not None and previous.number >= this.number:
        faults.mistakes.append(
            f"--against {previous.version!r} is not older than {this.version}: name an older release"
        )
    races = asked.races(options.races, faults)
    times = asked.times(options.times, faults)
    store = Store(asked.directory(options.out, "rc"))
    stage = None
    if options.load and this is not None and previous is not None:
        stage = _stage(options, store, (previous, this), races, faults)
    releases = [each for each in (previous, this) if each is not None]
    budget = options.budget if stage is not None else ""
    versions = tuple(each.version for each in releases)
    parameters = Parameters("rc", versions, races, times, load=budget, stress=made_by())
    faults.mistakes += store.mistakes(None if faults.mistakes else parameters)
    if not faults.mistakes:  # this may take a minute
        asked.resolve(releases, faults)
    faults.end()
    assert previous is not None
    assert this is not None
    return _Asked(previous, this, parameters, store, stage)


def _stage(
    options: RcOptions, store: Store, releases: tuple[Release, Release], races: Sequence[str], faults: Faults
) -> LoadStage | None:
    """The run under load; None if no race asked for has a scenario that the releases can have."""
    wanted = load.races_under_load(races, releases)
    if not wanted:
        return None
    try:
        return load.stage(store.directory, *releases, wanted, options.budget, options.port)
    except BadOptions as bad:
        faults.mistakes += bad.mistakes
        faults.machine += bad.machine
        return None


def _load(stage: LoadStage | None) -> LoadResult | None:
    """The stored result of the run under load, or a new one. Raises KeyboardInterrupt if the user interrupts it."""
    if stage is None:
        return None
    stored = stage.stored()
    if stored is not None:
        progress(f"the run under load is stored: {stored.run}")
        return stored
    progress(f"the run under load: {', '.join(stage.plan.races)}")
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for the table
        return stage.run()


def _compare(what: _Asked, cells: Cells, loaded: LoadResult | None) -> Comparison:
    under_load = {each.race: each for each in loaded.races} if loaded is not None else {}
    rows = tuple(
        row(
            race,
            RACES[race].issues,
            RACES[race].summary,
            cells[race, what.previous.version],
            cells[race, what.this.version],
            under_load[race].under_load if race in under_load else None,
        )
        for race in what.parameters.races
    )
    return Comparison(
        this=what.this.version,
        previous=what.previous.version,
        rows=rows,
        not_asked=asked.not_asked(),
        times=what.parameters.times,
        made_by=what.parameters.stress,
        command=what.command,
        load_run=loaded.run if loaded is not None else None,
        load_error=loaded.error if loaded is not None else "",
        load_verdicts={race: each.reason for race, each in under_load.items()},
        load_costs=loaded.costs if loaded is not None else (),
    )


def _write(what: _Asked, found: Comparison, cells: Cells) -> None:
    store = what.store
    seen = {
        (tried.name, cell.release): store.listing(tried)
        for cell in cells.values()
        for tried in cell.tried
        if tried.state is State.SEEN
    }
    here = {name: listing for (name, release), listing in seen.items() if release == found.this}
    store.write(DOCUMENT, json.dumps(document(found), indent=2, ensure_ascii=False) + "\n")
    store.write(MARKDOWN, markdown.render(found, here))
    store.write(PAGE, page.render(found, seen))


def _text(found: Comparison) -> str:
    rows = [("race", "issue", found.previous, found.this, "status"), *table(found)]
    lines = [columns(rows), "", *found.notes()]
    lines += [f"not asked: {race}: {reason}" for race, reason in found.not_asked.items()]
    if under_load := cost_table(found):
        lines += ["", columns(under_load)]
    return "\n".join([*lines, "", found.headline])
