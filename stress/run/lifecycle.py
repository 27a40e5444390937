"""The order of a run, from plan to report.

    1. the directory, the manifest (starting), the journal
    2. the metrics' port
    3. the runtime: an environment and a migrated template database for each arm
    4. manifest: running. Blocks, arms in turn, until every race asked for is decided or the budget cannot hold another
    5. the end of everything that was started
    6. manifest: analysing. The history is read back from the disk and judged, so that the reports show what is stored
    7. the reports, metrics.prom, and the manifest's last state

An interrupt continues at step 5 from any step. So does a failure of the machine or the cluster, and the blocks that
were complete by then are judged. Each turn has every arm once, in an order drawn from the seed; a block in which an
observer was blind is run again, with the same arm, before the next turn goes on.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from contextlib import closing

from stress.cluster.base import PreparedRuntime
from stress.errors import StressError
from stress.exits import EXIT_FAILED
from stress.feed import FeedFile
from stress.history import HistoryBroken, Recorder
from stress.interrupt import Interrupt, Interrupted
from stress.judge.verdicts import exit_code
from stress.plan import Plan
from stress.results import RunState
from stress.run.block import Block, Turn
from stress.run.live import LiveJudge, metrics_of, planned_events
from stress.run.parts import Parts
from stress.run.settings import airflow_config, cluster_settings
from stress.run.stop import StopRule
from stress.run.store import RunStore
from stress.screen import Screen

LAST_SCRAPES_TIMEOUT_S = 15.0


class Run:
    """One run of a plan."""

    def __init__(self, plan: Plan, arguments: Sequence[str], screen: Screen, parts: Parts | None = None) -> None:
        self._plan = plan
        self._screen = screen
        self._parts = parts or Parts()
        self._clock = self._parts.clock
        self._store = RunStore(plan, arguments)
        self._metrics = metrics_of(plan, self._store.manifest)
        self._live = LiveJudge(plan, self._store.manifest, self._metrics, screen, self._clock)
        self._stop = StopRule(len(plan.arms), plan.budget_s, plan.whole_budget)

    def execute(self) -> int:
        """Steps 1 to 7; returns the exit code."""
        began = self._clock()
        with self._parts.interrupt() as interrupt:
            try:
                self._store.open()
            except OSError as failure:
                self._screen.error(f"{self._plan.directory} can't be written to: {failure}")
                return EXIT_FAILED
            with closing(self._store):
                state, error = self._go_through(interrupt, began)
                with interrupt.shielded():
                    self._screen.end()
                    return self._conclude(state, error, interrupt.signal_number)

    def _go_through(self, interrupt: Interrupt, began: float) -> tuple[RunState, str | None]:
        """Steps 2 to 5: how the run ended, and why if it failed."""
        try:
            record = Recorder(self._store.journal, None)
            for event in planned_events(self._plan, self._store.manifest):
                record(event)
            self._screen.begin(self._plan)
            with self._parts.serve(self._metrics, self._plan):
                self._blocks(interrupt, began)
                self._await_scrapes(interrupt)
        except Interrupted:
            return RunState.INTERRUPTED, None
        except (StressError, HistoryBroken, OSError) as failure:
            return RunState.FAILED, str(failure)
        except Exception as failure:
            # A defect of the harness: everything has ended by now, and complete blocks are still judged.
            trace = self._store.keep_trace(traceback.format_exc())
            return RunState.FAILED, f"{type(failure).__name__}: {failure} (a defect of stress: see {trace})"
        return (RunState.INTERRUPTED if interrupt.requested else RunState.DONE), None

    def _blocks(self, interrupt: Interrupt, began: float) -> None:
        plan = self._plan
        runtime = self._parts.runtime(plan)
        try:
            with interrupt.raising():
                prepared = runtime.prepare(plan.arms, self._screen.progress)
            self._store.running(prepared.facts(), prepared.differences(plan.arms, cluster_settings(plan)))
            costs_s: list[float] = []
            slot = 0
            while not interrupt.requested and self._goes_on(costs_s, self._clock() - began):
                started = self._clock()
                slot += self._block(prepared, len(costs_s), slot, interrupt)
                costs_s.append(self._clock() - started)
        finally:
            with interrupt.shielded():
                self._screen.progress("ending what was started")
                runtime.close()

    def _goes_on(self, costs_s: Sequence[float], elapsed_s: float) -> bool:
        first_turn = len(costs_s) < len(self._plan.arms)
        decided = not first_turn and self._live.decided(sum(costs_s) / len(costs_s))
        return self._stop.goes_on(costs_s, elapsed_s, decided=decided)

    def _block(self, prepared: PreparedRuntime, block: int, slot: int, interrupt: Interrupt) -> bool:
        """Run one block; whether its slot is done, because nothing was blind in it."""
        plan, parts = self._plan, self._parts
        arm = plan.arm_of(slot)
        directory = plan.directory / "logs" / str(block)
        directory.mkdir(parents=True, exist_ok=True)
        self._live.block_begins(block, arm.name)
        cluster = prepared.open(arm, block, directory, cluster_settings(plan))
        feed = FeedFile(plan.directory, block)
        record = Recorder(self._store.journal, block, (self._live.on_entry,), feed.append)
        turn = Turn(
            arm=arm.name,
            dags=plan.dags,
            load_s=plan.load.seconds,
            faults=plan.faults_of(slot),
            drains=bool(plan.faults),
            config=airflow_config(plan, arm.name),
        )
        with closing(feed):
            Block(
                turn,
                cluster,
                parts.load(plan, cluster, prepared.label, directory),
                parts.observers(plan, cluster, record),
                record,
                interrupt,
                phase=self._screen.phase,
                directory=directory,
                dags=parts.dags,
                clock=self._clock,
            ).run()
        return self._live.block_ends(Recorder(self._store.journal, block))

    def _await_scrapes(self, interrupt: Interrupt) -> None:
        """Wait for two more scrapes, if there were any, so that Prometheus has the final state."""
        scrapes = self._metrics.scrapes
        deadline = self._clock() + LAST_SCRAPES_TIMEOUT_S
        while scrapes and self._metrics.scrapes < scrapes + 2 and self._clock() < deadline:
            if interrupt.pause(0.2):
                return

    def _conclude(self, state: RunState, error: str | None, signal_number: int | None) -> int:
        """Steps 6 and 7."""
        try:
            results = self._store.analyse(state, error)
            self._live.verdicts(results.races)
            self._store.conclude(results, self._metrics, error)
        except OSError as failure:
            self._screen.error(f"the reports can't be written to {self._plan.directory}: {failure}")
            return EXIT_FAILED
        except ValueError as failure:  # the history does not even hold the plan
            self._screen.error(error or str(failure))
            return EXIT_FAILED
        self._screen.results(results, self._plan.directory)
        if state is RunState.FAILED:
            self._screen.error(error or "the run failed")
            return EXIT_FAILED
        return exit_code(
            results.races,
            interrupted=state is RunState.INTERRUPTED,
            interrupted_by_signal=signal_number if state is RunState.INTERRUPTED else None,
        )
