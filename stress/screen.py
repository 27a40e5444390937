"""What a run shows while it lasts: a live view on a terminal, plain lines elsewhere.

Both say the same: the phase, the incidents with their denominators per race and arm, what is decided and what is still
needed. Nothing here decides anything.
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

from stress.judge.wording import opportunity_unit
from stress.layout import seen_outside
from stress.plan import Plan
from stress.report import terminal
from stress.results import BlockCheck, RaceState, RaceVerdict, Results

_LINE_INTERVAL_S = 15.0
_COLOURS = {
    RaceState.REMOVED: "green",
    RaceState.TRADED: "red",
    RaceState.REDUCED: "red",
    RaceState.REMAINS: "red",
    RaceState.UNKNOWN: "yellow",
}


class Screen(ABC):
    """Told by the run; shows what it likes of it."""

    @abstractmethod
    def begin(self, plan: Plan) -> None:
        """The plan is settled."""

    @abstractmethod
    def progress(self, line: str) -> None:
        """Something that takes a while goes on."""

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
        """What would be said if the run ended now."""

    @abstractmethod
    def warn(self, line: str) -> None:
        """Something that the user should know now."""

    @abstractmethod
    def end(self) -> None:
        """No more of the above: the terminal is given back."""

    def error(self, line: str) -> None:
        """Why the run failed."""
        print(f"stress: {line}", file=sys.stderr, flush=True)

    def results(self, results: Results, directory: Path) -> None:
        """The verdict."""
        print(flush=True)
        print(terminal.render(results, colour=sys.stdout.isatty()), flush=True)
        print(f"report: {seen_outside(directory / 'report.html')}", flush=True)


class PlainScreen(Screen):
    """Lines, each with the seconds since the start: for logs and pipes."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._block = ""
        self._shown_at = 0.0

    def begin(self, plan: Plan) -> None:
        arms = " against ".join(_describe(arm.name, arm.airflow.version, arm.fixes) for arm in plan.arms)
        self._line(f"run {plan.run_id}: {arms}")
        host = "stress" if plan.runtime == "compose" else "127.0.0.1"
        self._line(
            f"races {', '.join(plan.races)}; seed {plan.seed}; budget {plan.budget_s / 60:g} min; "
            f"metrics on http://{host}:{plan.metrics_port}/metrics"
        )

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
                f"{result.race} {len(result.incidents)} of {result.opportunities} {opportunity_unit(result.race)}"
                for result in results
            )
            self._line(f"{self._block}: {'in all: ' if final else ''}{counts}")

    def verdicts(self, verdicts: Mapping[str, RaceVerdict]) -> None:
        self._line("so far: " + "; ".join(f"{race} {verdict.verdict}" for race, verdict in verdicts.items()))

    def warn(self, line: str) -> None:
        self._line(f"warning: {line}")

    def end(self) -> None:
        """Nothing to give back."""

    def _line(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", flush=True)


class LiveScreen(Screen):
    """A table that renews itself, on a terminal."""

    def __init__(self) -> None:
        self._console = Console()
        self._began = time.monotonic()
        self._plan: Plan | None = None
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
        self._console.print(f"metrics: http://127.0.0.1:{plan.metrics_port}/metrics   directory: {plan.directory}")
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
            (f"{elapsed / 60:.0f}:{elapsed % 60:02.0f}", "bold"),
            f" of {self._plan.budget_s / 60:g} min   ",
            (self._where, "bold"),
            f"   {self._phase} {here:.0f} s" if self._phase else "",
        )
        table = Table(title_justify="left", expand=False)
        table.add_column("race")
        for arm in self._plan.arms:
            table.add_column(_describe(arm.name, arm.airflow.version, arm.fixes), justify="right")
        table.add_column("so far")
        for race in self._plan.races:
            verdict = self._verdicts.get(race)
            cells = [self._cell(race, arm.name) for arm in self._plan.arms]
            state = Text(str(verdict.verdict), style=_COLOURS[verdict.verdict]) if verdict else Text("-", style="dim")
            if verdict is not None and verdict.more_minutes is not None:
                state.append(f", about {verdict.more_minutes:.0f} min more", style="dim")
            table.add_row(f"{race}\n[dim]of {opportunity_unit(race)}[/dim]", *cells, state)
        warnings = [Text(f"! {line}", style="yellow") for line in self._warnings[-4:]]
        return Group(title, table, *warnings, Text("Ctrl-C stops the load and judges what there is", style="dim"))

    def _cell(self, race: str, arm: str) -> str:
        done, now = self._done.get((race, arm), (0, 0)), self._now.get((race, arm), (0, 0))
        return f"{done[0] + now[0]} of {done[1] + now[1]:,}"


def _describe(name: str, release: str, fixes: Sequence[str]) -> str:
    return f"{name} ({release}, {len(fixes)} fix{'' if len(fixes) == 1 else 'es'})"


def choose(*, tui: bool) -> Screen:
    """The live view on a terminal, unless it is not wanted."""
    return LiveScreen() if tui and sys.stdout.isatty() else PlainScreen()
