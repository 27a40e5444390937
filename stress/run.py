"""A run, from plan to report.

    1. the directory, the manifest (starting), the journal
    2. the metrics' port
    3. the runtime: an environment and a migrated template database for each arm
    4. manifest: running. Blocks, arms in turn, until every race asked for is decided or the budget cannot hold another
    5. the end of everything that was started
    6. manifest: analysing. The history is read back from the disk and judged: what the reports say is what is stored
    7. the reports, metrics.prom, and the manifest's last state

An interrupt goes from wherever it finds the run to step 5. A failure of the machine or the cluster does too, and what
was complete by then is judged. Each turn has every arm once, in an order drawn from the seed; a block in which an
observer was blind is run again, with the same arm, before the next turn goes on.
"""

from __future__ import annotations

import contextlib
import time
import traceback
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from stress import events, history, manifest
from stress.arms.code import code_of
from stress.arms.errors import ArmsError
from stress.arms.fixes import components_of
from stress.block import Block, Recorder, cluster_settings
from stress.checkers import CAUSES, check
from stress.checkers.view import BlockView
from stress.cluster.base import Cluster, Runtime
from stress.cluster.errors import ClusterError
from stress.cluster.local import LocalRuntime
from stress.history import Entry, HistoryBroken, Journal
from stress.interrupt import Interrupt, Interrupted
from stress.judge.costs import costs_of
from stress.judge.counts import unobservable
from stress.judge.harm import BlockCosts
from stress.judge.history import judge_blocks, judge_history, summary_of_arm
from stress.judge.loading import unloaded
from stress.judge.verdicts import decided, exit_code
from stress.manifest import ArmManifest, Manifest
from stress.metrics import ArmInfo, RunMetrics
from stress.plan import Plan
from stress.report.files import write_all
from stress.report.text import airflow_of
from stress.results import ArmSummary, BlockCheck, Results, RunState
from stress.scenarios import scenario_of
from stress.screen import Screen

LIVE_CHECK_S = 2.0
_FIRST_BLOCK_COST_S = 75.0
_LAST_SCRAPES_TIMEOUT_S = 15.0
EXIT_FAILED = 3


class Run:
    """One run of a plan."""

    def __init__(self, plan: Plan, arguments: list[str], screen: Screen) -> None:
        self._plan = plan
        self._screen = screen
        self._manifest = _manifest_of(plan, arguments)
        self._arms: list[ArmSummary] = []
        self._checks: list[BlockCheck] = []
        self._costs: list[BlockCosts] = []
        self._entries: list[Entry] = []
        self._live_at = 0.0
        self._block_costs: list[float] = []
        observers = ("postgres_log", "component_logs", "receipts", "execution_api", "database", "load", "fix_reports")
        self._metrics = RunMetrics(
            arms=[arm.name for arm in plan.arms],
            scenario_of={race: scenario_of(race) for race in plan.races},
            causes_of=CAUSES,
            observers=observers,
            info={"airflow": ",".join(self._manifest.releases), "runtime": plan.runtime, "workers": plan.workers},
            arm_info=[
                ArmInfo(arm.name, _role(place, len(plan.arms)), airflow_of(arm.airflow, arm.code), tuple(arm.fixes))
                for place, arm in enumerate(self._manifest.arms)
            ],
        )

    def execute(self) -> int:
        """Steps 1 to 7; returns the exit code."""
        plan = self._plan
        began = time.monotonic()
        state, error = RunState.DONE, None
        with Interrupt() as interrupt, contextlib.ExitStack() as stack:
            try:
                plan.directory.mkdir(parents=True, exist_ok=True)
                stack.enter_context(manifest.held(plan.directory))
                manifest.save(self._manifest, plan.directory)
                journal = Journal(plan.directory / history.FILE_NAME)
            except OSError as failure:
                self._screen.error(f"{plan.directory} can't be written to: {failure}")
                return EXIT_FAILED
            try:
                self._begin(journal)
                with self._serving():
                    self._blocks(journal, interrupt, began)
                    self._await_scrapes(interrupt)
                if interrupt.requested:
                    state = RunState.INTERRUPTED
            except Interrupted:
                state = RunState.INTERRUPTED
            except (ClusterError, ArmsError, HistoryBroken, OSError) as failure:
                state, error = RunState.FAILED, str(failure)
            except Exception as failure:
                # A defect of ours: everything has been ended by now, and what was complete is still judged.
                trace = plan.directory / "harness.log"
                trace.write_text(traceback.format_exc())
                state, error = RunState.FAILED, f"{type(failure).__name__}: {failure} (a defect of stress: see {trace})"
            with interrupt.shielded():
                self._screen.end()
                return self._conclude(journal, state, error, interrupt.signal_number)

    def _begin(self, journal: Journal) -> None:
        plan = self._plan
        record = Recorder(journal, None)
        record(
            events.RunPlanned(
                run_id=plan.run_id,
                seed=plan.seed,
                races=list(plan.races),
                scenarios=[scenario.name for scenario in plan.scenarios],
            )
        )
        for arm in self._manifest.arms:
            planned = events.ArmPlanned(
                name=arm.name,
                airflow=arm.airflow,
                fixes=arm.fixes,
                config=arm.config,
                code=arm.code,
                fix_roles={fix: list(components_of(fix)) for fix in arm.fixes},
            )
            record(planned)
            self._arms.append(summary_of_arm(planned))
        self._screen.begin(plan)

    def _serving(self) -> _Server:
        registry = CollectorRegistry()
        registry.register(self._metrics)
        # In a container only its own network reaches it: Prometheus, and nobody else, because no port is published.
        address = "0.0.0.0" if self._plan.runtime == "compose" else "127.0.0.1"  # noqa: S104
        return _Server(registry, address, self._plan.metrics_port)

    def _blocks(self, journal: Journal, interrupt: Interrupt, began: float) -> None:
        plan = self._plan
        runtime = runtime_of(plan)
        try:
            with interrupt.raising():
                runtime.prepare(plan.arms, self._screen.progress)
            self._manifest = self._manifest.with_settings(runtime.facts()).with_differences(
                runtime.differences(plan.arms, cluster_settings(plan))
            )
            self._save(RunState.RUNNING)
            block = slot = 0
            while not interrupt.requested and self._goes_on(block, began):
                started = time.monotonic()
                seen = self._one(runtime, journal, block, slot, interrupt)
                self._block_costs.append(time.monotonic() - started)
                block += 1
                slot += seen
        finally:
            with interrupt.shielded():
                self._screen.progress("ending what was started")
                runtime.close()

    def _goes_on(self, block: int, began: float) -> bool:
        plan = self._plan
        if block >= len(plan.arms) and self._decided() and not plan.whole_budget:
            return False
        cost = max(self._block_costs[-2:], default=_FIRST_BLOCK_COST_S)
        # The first turn of every arm is taken even by a small budget: without it there is nothing to compare.
        return block < len(plan.arms) or time.monotonic() - began + cost <= plan.budget_s

    def _await_scrapes(self, interrupt: Interrupt) -> None:
        """Whoever watches by Prometheus must see how it ended: two more scrapes, if there were any."""
        scrapes = self._metrics.scrapes
        deadline = time.monotonic() + _LAST_SCRAPES_TIMEOUT_S
        while scrapes and self._metrics.scrapes < scrapes + 2 and time.monotonic() < deadline:
            if interrupt.pause(0.2):
                return

    def _decided(self) -> bool:
        names = [arm.name for arm in self._plan.arms]
        judged = judge_blocks(self._checks, self._costs, self._plan.races, names, block_cost_s=self._block_cost())
        verdicts = judged.races
        self._screen.verdicts(verdicts)
        self._metrics.judged({race: verdict.verdict for race, verdict in verdicts.items()})
        return decided(verdicts)

    def _block_cost(self) -> float | None:
        return sum(self._block_costs) / len(self._block_costs) if self._block_costs else None

    def _one(self, runtime: Runtime, journal: Journal, block: int, slot: int, interrupt: Interrupt) -> bool:
        """Run one block; whether its slot is done, because nothing was blind in it."""
        plan = self._plan
        arm = plan.arm_of(slot)
        directory = plan.directory / "logs" / str(block)
        directory.mkdir(parents=True, exist_ok=True)
        self._entries = []
        self._screen.block(block, arm.name)
        cluster: Cluster = runtime.open(arm, block, directory, cluster_settings(plan))
        record = Recorder(journal, block, (self._heard,))
        label = runtime.label
        Block(plan, cluster, label, directory, record, interrupt, self._screen.phase, slot).run(arm.name)
        view = BlockView(block, arm.name, tuple(self._entries))
        for reasons in unloaded([view], self._arms).values():
            for reason in reasons:
                self._screen.warn(f"{reason}: no verdict will be possible")
        results = [check(race, view) for race in plan.races]
        self._checks.extend(results)
        if view.complete:
            self._costs.append(costs_of(view))
        for result in results:
            self._publish(result)
            self._metrics.checked(result.race, result.arm, blind=bool(result.blind))
        self._screen.checked(results, final=True)
        blind = [why for result in results if not unobservable(self._checks, result.race) for why in result.blind]
        if blind:
            self._screen.warn(f"block {block} is set aside and run again: {blind[0]}")
            return False
        return True

    def _heard(self, entry: Entry) -> None:
        """Every entry of the present block passes here, right after it was written."""
        self._entries.append(entry)
        arm = next((e.event.arm for e in self._entries[:1] if isinstance(e.event, events.BlockStarted)), "")
        self._metrics.heard(arm, entry.event)
        if isinstance(entry.event, events.ObserverBlind):
            self._screen.warn(f"{entry.event.observer} is blind: {entry.event.reason}")
        if isinstance(entry.event, events.ComponentsHealthy) and entry.event.missing:
            missing = ", ".join(entry.event.missing)
            self._screen.warn(f"{entry.event.seconds:.0f} s after the faults no sign of life of {missing}")
        if time.monotonic() - self._live_at >= LIVE_CHECK_S:
            self._live_at = time.monotonic()
            view = BlockView(entry.block or 0, arm, tuple(self._entries))
            results = [check(race, view) for race in self._plan.races]
            for result in results:
                self._publish(result)
            self._screen.checked(results, final=False)

    def _publish(self, result: BlockCheck) -> None:
        causes: dict[str, int] = {}
        for incident in result.incidents:
            causes[incident.cause] = causes.get(incident.cause, 0) + 1
        self._metrics.found(result.race, result.arm, result.block, causes, result.opportunities)

    def _conclude(self, journal: Journal, state: RunState, error: str | None, signal_number: int | None) -> int:
        directory = self._plan.directory
        try:
            journal.close()
            self._save(RunState.ANALYSING, error=error)
            results = judge_history(
                history.read(directory / history.FILE_NAME),
                state,
                errors=(error,) if error else (),
            )
            self._metrics.judged({race: verdict.verdict for race, verdict in results.races.items()})
            # The manifest says "done" only when everything else is there.
            ended = self._manifest.with_state(state, ended=True, error=error)
            write_all(results, ended.facts(), directory)
            registry = CollectorRegistry()
            registry.register(self._metrics)
            (directory / "metrics.prom").write_bytes(generate_latest(registry))
            self._save(state, ended=True, error=error)
            _link_latest(directory, self._plan.run_id)
        except OSError as failure:
            self._screen.error(f"the reports can't be written to {directory}: {failure}")
            return EXIT_FAILED
        except ValueError as failure:  # not even the plan came into the history
            self._screen.error(error or str(failure))
            return EXIT_FAILED
        self._screen.results(results, directory)
        if state is RunState.FAILED:
            self._screen.error(error or "the run failed")
            return EXIT_FAILED
        return exit_code(
            results.races,
            interrupted=state is RunState.INTERRUPTED,
            interrupted_by_signal=signal_number if state is RunState.INTERRUPTED else None,
        )

    def _save(self, state: RunState, *, ended: bool = False, error: str | None = None) -> None:
        self._manifest = self._manifest.with_state(state, ended=ended, error=error)
        manifest.save(self._manifest, self._plan.directory)


class _Server:
    """The metrics' HTTP server, for as long as the run lasts."""

    def __init__(self, registry: CollectorRegistry, address: str, port: int) -> None:
        self._registry = registry
        self._address = address
        self._port = port

    def __enter__(self) -> None:
        try:
            self._server, self._thread = start_http_server(self._port, addr=self._address, registry=self._registry)
        except OSError as error:
            raise ClusterError(f"the metrics' port {self._port} can't be opened: {error}") from error

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def analyse(directory: Path) -> tuple[Manifest, Results]:
    """Judge a stored run again. A run that says that it goes on but whose harness is dead was interrupted.

    Raises FileNotFoundError, ValueError or msgspec.MsgspecError with what is wrong with the directory.
    """
    kept = manifest.load(directory)
    state = RunState(kept.state)
    if kept.abandoned(directory):
        state = RunState.INTERRUPTED
        kept = kept.with_state(state, error="the harness was killed")
        manifest.save(kept, directory)
    elif state not in (RunState.DONE, RunState.INTERRUPTED, RunState.FAILED):
        raise ValueError(f"the run in {directory} is still {state}: wait for its end, or interrupt it")
    errors = (kept.error,) if kept.error else ()
    return kept, judge_history(history.read(directory / history.FILE_NAME), state, errors=errors)


def runtime_of(plan: Plan) -> Runtime:
    """Where the plan wants its blocks; nothing is started yet."""
    if plan.runtime == "compose":
        from stress.cluster.compose.runtime import ComposeRuntime

        return ComposeRuntime(plan.run_id)
    return LocalRuntime(plan.run_id, cold_start=plan.cold_start, settings=cluster_settings(plan))


def _role(place: int, arms: int) -> str:
    """The first arm is the control, the last is under test; a single arm is a control without a test."""
    return "control" if place == 0 else "under_test" if place == arms - 1 else "other"


def _manifest_of(plan: Plan, arguments: list[str]) -> Manifest:
    pid, started = manifest.own_identity()
    arms = [
        ArmManifest(
            name=arm.name,
            airflow=arm.airflow.version,
            overlay=[path.name for path in arm.overlay],
            fixes=list(arm.fixes),
            config=dict(arm.config),
            code=code_of(arm),
        )
        for arm in plan.arms
    ]
    return Manifest(
        run_id=plan.run_id,
        state=str(RunState.STARTING),
        seed=plan.seed,
        started_at=time.time(),
        ended_at=None,
        command=manifest.command_line(arguments, plan),
        runtime=plan.runtime,
        scenarios=[scenario.name for scenario in plan.scenarios],
        races=list(plan.races),
        arms=arms,
        releases=list(dict.fromkeys(arm.airflow for arm in arms)),
        fixes=list(dict.fromkeys(fix for arm in arms for fix in arm.fixes)),
        instrument=manifest.instrument_of(plan),
        budget_s=plan.budget_s,
        load=plan.load,
        workers=plan.workers,
        settings=_settings(plan),
        host=manifest.host_facts(),
        harness_pid=pid,
        harness_started=started,
    )


def _settings(plan: Plan) -> dict[str, str]:
    cluster = cluster_settings(plan)
    return {
        "workers": plan.workers,
        "schedulers": str(cluster.schedulers),
        "triggerers": str(cluster.triggerers),
        "load per block": f"{plan.load.seconds:g} s",
        **({"faults": ", ".join(plan.faults)} if plan.faults else {}),
        **{f"airflow {option}": value for option, value in cluster.config.items()},
    }


def _link_latest(directory: Path, run_id: str) -> None:
    """`runs/latest` for a run that was given no directory of its own."""
    if directory.parent.name != "runs" or directory.name != run_id:
        return
    link = directory.parent / "latest"
    scratch = directory.parent / ".latest.new"
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(directory.name)
    scratch.replace(link)
