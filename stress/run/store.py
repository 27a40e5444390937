"""A run's directory: its manifest, its journal and its reports. The manifest's state is "done" only when all other
files are written. The directory is locked (`manifest.held`) for as long as the run lasts, so that other processes see
whether its harness is alive.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from stress import history, manifest
from stress.history import Journal
from stress.judge.history import judge_history
from stress.manifest import Manifest
from stress.plan import Plan
from stress.report.files import write_all
from stress.results import Results, RunState, SettingDifference
from stress.run.manifests import manifest_of


class RunStore:
    """Everything that a run writes."""

    def __init__(self, plan: Plan, arguments: Sequence[str]) -> None:
        self.directory = plan.directory
        self.manifest: Manifest = manifest_of(plan, list(arguments))
        self._run_id = plan.run_id
        self._held = contextlib.ExitStack()

    def open(self) -> None:
        """Make the directory, the manifest and an empty journal. Raises OSError if they can't be written."""
        with contextlib.ExitStack() as stack:
            self.directory.mkdir(parents=True, exist_ok=True)
            stack.enter_context(manifest.held(self.directory))
            manifest.save(self.manifest, self.directory)
            self.journal = Journal(self.directory / history.FILE_NAME)
            stack.callback(self.journal.close)
            self._held = stack.pop_all()

    def close(self) -> None:
        """Release the directory."""
        self._held.close()

    def running(self, settings: Mapping[str, str], differences: Sequence[SettingDifference]) -> None:
        """The runtime is prepared: store its settings."""
        self.manifest = self.manifest.with_settings(settings).with_differences(differences)
        self._save(RunState.RUNNING)

    def keep_trace(self, trace: str) -> str:
        """Store the traceback of a defect of the harness; return its path."""
        path = self.directory / "harness.log"
        path.write_text(trace)
        return str(path)

    def analyse(self, state: RunState, error: str | None) -> Results:
        """Judge what is stored. Raises ValueError if the history does not even hold the plan, or OSError."""
        self.journal.close()
        self._save(RunState.ANALYSING, error=error)
        return judge_history(history.read(self.directory / history.FILE_NAME), state, errors=(error,) if error else ())

    def conclude(self, results: Results, metrics: Collector, error: str | None) -> None:
        """Write the reports and the manifest's last state. Raises OSError."""
        ended = self.manifest.with_state(results.state, ended=True, error=error)
        write_all(results, ended.facts(), self.directory)
        registry = CollectorRegistry()
        registry.register(metrics)
        (self.directory / "metrics.prom").write_bytes(generate_latest(registry))
        self._save(results.state, ended=True, error=error)
        self._link_latest()

    def _save(self, state: RunState, *, ended: bool = False, error: str | None = None) -> None:
        self.manifest = self.manifest.with_state(state, ended=ended, error=error)
        manifest.save(self.manifest, self.directory)

    def _link_latest(self) -> None:
        """`runs/latest`, for a run without `--out`."""
        if self.directory.parent.name != "runs" or self.directory.name != self._run_id:
            return
        link = self.directory.parent / "latest"
        scratch = self.directory.parent / ".latest.new"
        scratch.unlink(missing_ok=True)
        scratch.symlink_to(self.directory.name)
        scratch.replace(link)
