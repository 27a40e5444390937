"""What a run shows while it lasts: a live view on a terminal, plain lines elsewhere.

Both show the same facts: the phase, the incidents with their denominators per race and arm, what is decided and what is
still needed. Nothing here decides anything.
"""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stress import colour
from stress.arms.code import code_of
from stress.arms.spec import Arm
from stress.layout import seen_outside
from stress.plan import Plan
from stress.races.registry import unit_of
from stress.report import terminal, text
from stress.results import BlockCheck, RaceState, RaceVerdict, Results

_LINE_INTERVAL_S = 15.0
_COLOURS = {
    RaceState.REMOVED: "green",
    RaceState.REDUCED: "red",
    RaceState.TRADED: "red",
    RaceState.REMAINS: "red",
    RaceState.UNKNOWN: "yellow",
}


class Screen(ABC):
    """What a run reports while it lasts. Each implementation shows a part of it."""

    @abstractmethod
    def begin(self, plan: Plan) -> None:
        """The plan is settled."""

    @abstractmethod
    def progress(self, line: str) -> None:
        """A long step is in progress."""

    @abstractmethod
    def block(self, block: int, arm: str) -> None:
        """A block begins."""

    @abstractmethod
    def phase(self, phase: str) -> None:
        """The block enters a phase."""

    @abstractmethod
    def checked(self, results: Sequence[BlockCheck], *, final: bool) -> None:
        """The present block's counts; `final` when the block is over."""

    @abstractmethod
    def verdicts(self, verdicts: Mapping[str, RaceVerdict]) -> None:
        """The verdicts if the run ended now."""

    @abstractmethod
    def warn(self, line: str) -> None:
        """A message that the user should see now."""

    @abstractmethod
    def end(self) -> None:
        """The run ends; restore the terminal."""

    def error(self, line: str) -> None:
        """Why the run failed."""
        print(f"stress: {line}", file=sys.stderr, flush=True)

    def results(self, results: Results, directory: Path) -> None:
        """The verdict."""
        print(flush=True)
        print(terminal.render(results, colour=colour.wanted(sys.stdout)), flush=True)
        print(f"report: {seen_outside(directory / 'report.html')}", flush=True)


class PlainScreen(Screen):
    """Lines, each with the seconds since the start: for logs and pipes."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._block = ""
        self._shown_at = 0.0

    def begin(self, plan: Plan) -> None:
        arms = " against ".join(_describe(arm) for arm in plan.arms)
        self._line(f"run {plan.run_id}: {arms}")
        host = "stress" if plan.runtime == "compose" else "127.0.0.1"
        self._line(
            f"races {', '.join(plan.races)}; seed {plan.seed}; budget {plan.budget_s / 60:g} min; "
            f"metrics on http://{host}:{plan.metrics_port}/metrics"
        )
        for line in _choice(plan):
            self._line(line)

    def progress(self, line: str) -> None:
        self._line(line)

    def block(self, block: int, arm: str) -> None:
        self._block = f"block {block} ({arm})"

    def phase(self, phase: str) -> None:
        self._line(f"{self._block}: {phase}")

    def checked(self, results: Sequence[BlockCheck], *, final: bool) -> None:
        counted = any(result.opportunities for result in results)
        if final or (counted and time.monotonic() - self._shown_at >= _LINE_INTERVAL_S):
            self._shown_at = time.monotonic()
            counts = "; ".join(
                f"{result.race} {len(result.incidents)} of {result.opportunities} {unit_of(result.race)}"
                for result in results
            )
            self._line(f"{self._block}: {'total: ' if final else ''}{counts}")

    def verdicts(self, verdicts: Mapping[str, RaceVerdict]) -> None:
        self._line("so far: " + "; ".join(_so_far(race, verdict) for race, verdict in verdicts.items()))

    def warn(self, line: str) -> None:
        self._line(f"warning: {line}")

    def end(self) -> None:
        """Nothing to restore."""

    def _line(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", flush=True)


class LiveScreen(Screen):
    """A table that renews itself, on a terminal."""

    def __init__(self) -> None:
        # rich looks at some of these variables, and not in the order in which the other output does.
        self._console = Console(no_color=not colour.wanted(sys.stdout))
        self._began = time.monotonic()
        self._plan: Plan | None = None
        self._arms: list[str] = []
        self._where = "preparing"
        self._phase = ""
        self._phase_at = time.monotonic()
        self._done: dict[tuple[str, str], tuple[int, int]] = {}
        self._now: dict[tuple[str, str], tuple[int, int]] = {}
        self._verdicts: Mapping[str, RaceVerdict] = {}
        self._warnings: list[str] = []
        # Last: it renders at once.
        self._live = Live(console=self._console, refresh_per_second=2, transient=True, get_renderable=self._render)

    def begin(self, plan: Plan) -> None:
        self._plan = plan
        self._arms = [_describe(arm) for arm in plan.arms]
        self._console.print(f"metrics: http://127.0.0.1:{plan.metrics_port}/metrics   directory: {plan.directory}")
        for line in _choice(plan):
            self._console.print(line)
        self._live.start()

    def progress(self, line: str) -> None:
        self._where, self._phase = line, ""
        self._phase_at = time.monotonic()

    def block(self, block: int, arm: str) -> None:
        self._where = f"block {block}, arm {arm}"

    def phase(self, phase: str) -> None:
        self._phase, self._phase_at = phase, time.monotonic()

    def checked(self, results: Sequence[BlockCheck], *, final: bool) -> None:
        self._now = {(r.race, r.arm): (len(r.incidents), r.opportunities) for r in results}
        if final:
            for key, (incidents, opportunities) in self._now.items():
                before = self._done.get(key, (0, 0))
                self._done[key] = (before[0] + incidents, before[1] + opportunities)
            self._now = {}

    def verdicts(self, verdicts: Mapping[str, RaceVerdict]) -> None:
        self._verdicts = verdicts

    def warn(self, line: str) -> None:
        self._warnings.append(line)

    def end(self) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        if self._plan is None:
            return Text("")
        elapsed, here = time.monotonic() - self._began, time.monotonic() - self._phase_at
        title = Text.assemble(
            (text.clock(int(elapsed)), "bold"),
            f" of {self._plan.budget_s / 60:g} min   ",
            (self._where, "bold"),
            f"   {self._phase} {here:.0f} s" if self._phase else "",
        )
        table = Table(title_justify="left", expand=False)
        table.add_column("race")
        for described in self._arms:
            table.add_column(described, justify="right")
        table.add_column("so far")
        for race in self._plan.races:
            verdict = self._verdicts.get(race)
            cells = [self._cell(race, arm.name) for arm in self._plan.arms]
            state = Text(_state(verdict), style=_COLOURS[verdict.verdict]) if verdict else Text("-", style="dim")
            if verdict is not None and verdict.more_minutes is not None:
                state.append(f", about {verdict.more_minutes:.0f} min more", style="dim")
            table.add_row(f"{race}\n[dim]of {unit_of(race)}[/dim]", *cells, state)
        warnings = [Text(f"! {line}", style="yellow") for line in self._warnings[-4:]]
        return Group(title, table, *warnings, Text("Ctrl-C stops the load and judges what there is", style="dim"))

    def _cell(self, race: str, arm: str) -> str:
        done, now = self._done.get((race, arm), (0, 0)), self._now.get((race, arm), (0, 0))
        return f"{done[0] + now[0]} of {done[1] + now[1]:,}"


def _describe(arm: Arm) -> str:
    fixes = f"{len(arm.fixes)} fix{'' if len(arm.fixes) == 1 else 'es'}"
    return f"{arm.name} ({text.airflow_of(arm.airflow.version, code_of(arm.airflow, arm.overlay))}, {fixes})"


def _choice(plan: Plan) -> list[str]:
    """How the races of a run that was asked for none were chosen, and which were left out."""
    return [*([plan.chosen] if plan.chosen else []), *(f"not judged: {race}: {why}" for race, why in plan.left_out)]


def _state(verdict: RaceVerdict) -> str:
    """While a run lasts, an unknown race is one that is not decided yet."""
    return "undecided" if verdict.verdict is RaceState.UNKNOWN else str(verdict.verdict)


def _so_far(race: str, verdict: RaceVerdict) -> str:
    """`deadlock undecided (51 of 657 on stock, 0 of 562 on fixed; about 4 min more)`."""
    if verdict.verdict is not RaceState.UNKNOWN:
        return f"{race} {_state(verdict)}"
    counts = ", ".join(f"{text.out_of(count)} on {arm}" for arm, count in verdict.arms.items())
    more = "" if verdict.more_minutes is None else f"; about {verdict.more_minutes:.0f} min more"
    return f"{race} {_state(verdict)} ({counts}{more})"


def choose(*, tui: bool) -> Screen:
    """The live view on a terminal that can show it, unless it is not wanted."""
    return LiveScreen() if tui and sys.stdout.isatty() and not colour.dumb() else PlainScreen()
