"""`manifest.json`: what a run is and how far it came; written anew at each step, always whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from stress import instrument
from stress.arms.spec import Arm
from stress.cluster.supervision import procfs
from stress.load.settings import LoadSettings
from stress.plan import Plan
from stress.results import ArmCode, Instrument, RunFacts, RunState, SettingDifference

FILE_NAME = "manifest.json"


class ArmManifest(msgspec.Struct, frozen=True, kw_only=True):
    """One arm as it was planned."""

    name: str
    airflow: str
    overlay: list[str]
    fixes: list[str]
    config: dict[str, str]
    code: ArmCode | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The run. `harness_pid` and `harness_started` (clock ticks) show whether a run in the state "running" still
    runs."""

    run_id: str
    state: str
    seed: int
    started_at: float
    ended_at: float | None
    command: str
    runtime: str
    scenarios: list[str]
    races: list[str]
    arms: list[ArmManifest]
    releases: list[str]
    fixes: list[str]
    budget_s: float
    load: LoadSettings
    workers: str
    settings: dict[str, str]
    host: dict[str, str]
    harness_pid: int
    harness_started: int
    error: str | None = None
    instrument: Instrument = msgspec.field(default_factory=Instrument)
    differences: list[SettingDifference] = []

    def with_state(self, state: RunState, *, ended: bool = False, error: str | None = None) -> Manifest:
        """The same run, further on."""
        return msgspec.structs.replace(
            self, state=str(state), ended_at=time.time() if ended else self.ended_at, error=error or self.error
        )

    def with_settings(self, settings: Mapping[str, str]) -> Manifest:
        """The same run, with settings that became known after its start."""
        return msgspec.structs.replace(self, settings={**self.settings, **settings})

    def with_differences(self, differences: Sequence[SettingDifference]) -> Manifest:
        """The same run, with the settings of the cluster that are not the defaults."""
        return msgspec.structs.replace(self, differences=list(differences))

    def abandoned(self, directory: Path) -> bool:
        """Whether the manifest says that the run continues but its harness is gone. The process id shows that on the
        same machine; the lock on the directory shows it across containers, too.
        """
        if self.state not in (RunState.STARTING, RunState.RUNNING, RunState.ANALYSING):
            return False
        return not procfs.is_same(self.harness_pid, self.harness_started) and not _is_held(directory)

    def facts(self) -> RunFacts:
        """What the reports repeat."""
        return RunFacts(
            run_id=self.run_id,
            started_at=self.started_at,
            ended_at=self.ended_at,
            command=self.command,
            runtime=self.runtime,
            host=self.host,
            settings=self.settings,
            instrument=self.instrument,
            differences=tuple(self.differences),
        )


def save(manifest: Manifest, directory: Path) -> None:
    """Write the manifest at once: a reader sees the old one or the new one."""
    scratch = directory / f".{FILE_NAME}.new"
    scratch.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    scratch.replace(directory / FILE_NAME)


def load(directory: Path) -> Manifest:
    """Read a run's manifest. Raises FileNotFoundError, or msgspec.MsgspecError if it isn't one."""
    return msgspec.json.decode((directory / FILE_NAME).read_bytes(), type=Manifest)


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Lock a run's directory for as long as its harness lives. The kernel owns the lock, so that it ends with a killed
    harness. Process ids mean nothing in another container, but containers share the kernel. On a file system without
    locks this does nothing.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _is_held(directory: Path) -> bool:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        return False
    finally:
        os.close(descriptor)


def host_facts() -> dict[str, str]:
    """The machine, as far as it matters for comparing runs; nothing that names it."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpus": str(len(os.sched_getaffinity(0))),
        "memory_gib": f"{pages / 2**30:.1f}",
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def command_line(arguments: Sequence[str], plan: Plan) -> str:
    """The command that repeats a run: what the user typed, then every choice that was left to a default, written out.

    `--out` is left out: a run is never written over another, so that the command could not be run again as it stands.
    """
    words = ["stress", *_without("--out", arguments)]
    given = {word.partition("=")[0] for word in arguments}
    releases = {arm.airflow.version for arm in plan.arms}
    chosen: list[tuple[str, str]] = [
        # A race brings its scenario, and a scenario all of its races.
        *(() if "--race" in given else (("--scenario", scenario.name) for scenario in plan.scenarios)),
        *(("--arm", _arm(arm)) for arm in plan.arms),
        ("--runtime", plan.runtime),
        # Arms name their own release, so that this matters only where all of them have one.
        *((("--airflow", release) for release in releases) if len(releases) == 1 else ()),
        ("--budget", f"{plan.budget_s:g}s"),
        ("--load", f"{plan.load.seconds:g}s"),
        ("--workers", plan.workers),
        ("--seed", str(plan.seed)),
    ]
    for option, value in chosen:
        if option not in given:
            words += [option, value]
    return shlex.join(words)


def _without(option: str, arguments: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in arguments:
        if skip:
            skip = False
        elif word == option:
            skip = True
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept


def _arm(arm: Arm) -> str:
    """A default arm as a user would write it in full."""
    return f"{arm.name}=airflow:{arm.airflow.version},fixes:{'+'.join(arm.fixes) or 'none'}"


def instrument_of(plan: Plan) -> Instrument:
    """Which airflow-stress makes this run."""
    return Instrument(
        instrument.version(), instrument.commit(), instrument.fix_digests(fix for arm in plan.arms for fix in arm.fixes)
    )


def own_identity() -> tuple[int, int]:
    """This process's id and start time in clock ticks."""
    info = procfs.read(os.getpid())
    if info is None:
        sys.exit("/proc cannot be read: airflow-stress needs Linux")
    return info.pid, info.started
