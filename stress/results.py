"""What a run found: the data that checkers produce, the verdict judges and reports show.

Everything here is a frozen value without behaviour beyond small derivations, so that a stored run can be judged and
reported again from its history alone. `Results` is the in-memory form of `results.json` (the contract with the outside)
plus what only the report shows: blocks, incidents with their witnesses, and the machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

SCHEMA = 2

UNIT = "opportunities"
"""The unit of opportunities of a race without a unit."""


class RaceState(StrEnum):
    """What a comparison of two arms says about one race."""

    REMOVED = "removed"
    TRADED = "traded"
    REDUCED = "reduced"
    REMAINS = "remains"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What a whole run says."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    UNKNOWN = "unknown"


class RunState(StrEnum):
    """The states of `manifest.json`."""

    STARTING = "starting"
    RUNNING = "running"
    ANALYSING = "analysing"
    DONE = "done"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True)
class WitnessTable:
    """A small table that shows one side of what happened; every row has as many cells as the header."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Witness:
    """The evidence of one incident, ready to be shown: a sentence and the tables behind it."""

    headline: str
    tables: tuple[WitnessTable, ...] = ()


@dataclass(frozen=True)
class Incident:
    """One violation (of a deadline, a deadlock, a dead runner), never a log line.

    `at_s` is seconds since the load of its block began; `cause` is bounded (it is a metric label), `signature` is the
    normalised detail (which two statements, say).
    """

    race: str
    block: int
    arm: str
    at_s: float
    cause: str
    signature: str
    witness: Witness


@dataclass(frozen=True)
class BlockCheck:
    """One checker's result on one block: incidents, how often the race could have happened, and what was unseen.

    `exposure_s` is seconds of load. A non-empty `blind` means that the counts are lower bounds: the block is set aside,
    and another is run in its place.
    `excused` are violations that no fix can prevent: shown with their witnesses, and held against no arm.
    """

    race: str
    block: int
    arm: str
    incidents: tuple[Incident, ...]
    opportunities: int
    exposure_s: float
    blind: tuple[str, ...] = ()
    excused: tuple[Incident, ...] = ()


@dataclass(frozen=True)
class ArmCount:
    """One arm's side of a race, summed over its blocks.

    `first_incident_s` is cumulated seconds of this arm's load until its first incident.
    """

    incidents: int
    opportunities: int
    exposure_s: float
    first_incident_s: float | None
    causes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RaceVerdict:
    """The decision on one race, with everything that it rests on.

    `p_value` is one-sided (under test has a lower rate than control), by permuting whole blocks, for this race alone;
    `p_adjusted` is the same for all races asked for together (step-down minP). Both are of the look that decided, or of
    all usable blocks while nothing is decided. `rate_ratio_upper95` is the upper 95 % bound of (rate under test / rate
    on control); `dispersion` the variance of the control's block counts over that of independent incidents.
    `blocks` counts the usable blocks of each arm, `set_aside` the blind ones. `decided_after` is the number of blocks
    that had run when the verdict was reached, None while it is open; `more_minutes` estimates how many more minutes a
    decision needs where more evidence can bring it. `unit` is what the opportunities are called, in the plural; `about`
    is a sentence on what the race is, empty where none is known.
    """

    race: str
    verdict: RaceState
    reason: str
    p_value: float | None
    p_adjusted: float | None
    rate_ratio_upper95: float | None
    control: str
    under_test: str
    arms: Mapping[str, ArmCount]
    blocks: Mapping[str, int] = field(default_factory=dict)
    set_aside: tuple[str, ...] = ()
    test: str | None = None
    dispersion: float | None = None
    decided_after: int | None = None
    more_minutes: float | None = None
    unit: str = UNIT
    about: str = ""


@dataclass(frozen=True)
class HarmMeasure:
    """One measure of what an arm costs, compared.

    `values` is arm name to the pooled value, None where nothing was measured. `verdict` is `worse`, `better` or `~` (no
    difference shown). `p_value` is two-sided by sign: that of the direction which the verdict names.
    """

    measure: str
    unit: str
    values: Mapping[str, float | None]
    verdict: str
    p_value: float | None
    reason: str = ""


@dataclass(frozen=True)
class CostChange:
    """One cost of the arm under test against the control's.

    `medians` is arm name to the median of its blocks' values, None where nothing was measured; `blocks` how many blocks
    had a value. `change` is the ratio of the geometric means less one (0.1 is 10 % more than on control), `low` and
    `high` are its 99 % interval; None where it was not compared. `verdict` is `~` (the interval covers 0), `worse`,
    `better`, `not compared` or `not measured`. `margin` is the difference that is harm for any p, None for a cost that
    is no measure of harm.
    """

    measure: str
    unit: str
    medians: Mapping[str, float | None]
    blocks: Mapping[str, int]
    change: float | None
    low: float | None
    high: float | None
    verdict: str
    margin: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class AnomalyCount:
    """The anomalies of one checker on one arm. `explained` counts them by the race that explains them."""

    found: int
    unexplained: int
    opportunities: int
    explained: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class AnomalyWitness:
    """An anomaly that no known race explains, with the interleaving around it. `also`: checkers that it violates, too.

    `at_s` is seconds since the load of its block began.
    """

    checker: str
    block: int
    arm: str
    at_s: float
    what: str
    also: tuple[str, ...]
    table: WitnessTable


@dataclass(frozen=True)
class Anomalies:
    """What the change feed showed against the model of what may happen (`stress/model`). It decides no verdict.

    `transitions` are those that were checked, by arm; `checkers` is checker to arm to counts, `units` what the
    opportunities of each checker are called. `unexplained` holds the first witnesses, `blind` why blocks are left out.
    """

    transitions: Mapping[str, int]
    checkers: Mapping[str, Mapping[str, AnomalyCount]]
    units: Mapping[str, str]
    unexplained: tuple[AnomalyWitness, ...] = ()
    blind: tuple[str, ...] = ()


@dataclass(frozen=True)
class ArmCode:
    """The code of an arm that is laid over the packages of a release: wheels, a checkout, or a diff.

    `kind` is `wheel`, `checkout` or `diff`; `name` is the file's or the folder's, without its path (several are joined
    by ` + `); `version` is what the code says that it is; `revision` is the git commit of a checkout, with `-dirty`
    after it if its files differ from it; `digest` is the SHA-256 (12 characters) of each file.
    """

    kind: str
    name: str
    version: str
    revision: str = ""
    digest: str = ""

    def on(self, release: str) -> str:
        """What ran: `3.4.0 (checkout airflow at 1a2b3c4d5e6f) on the packages of 3.3.2`."""
        at = f" at {self.revision}" if self.revision else ""
        at += f", SHA-256 {self.digest}" if self.digest else ""
        return f"{self.version} ({self.kind} {self.name}{at}) on the packages of {release}"


@dataclass(frozen=True)
class ArmSummary:
    """What an arm was: the release whose packages it runs on, and the code that is laid over them, if any."""

    name: str
    airflow: str
    fixes: tuple[str, ...]
    config: Mapping[str, str] = field(default_factory=dict)
    code: ArmCode | None = None
    fix_roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The roles whose processes must load a fix."""


@dataclass(frozen=True)
class BlockSummary:
    """One block as the timeline shows it. `started_at` is unix time; `complete` is false if it was cut short."""

    index: int
    arm: str
    started_at: float
    load_s: float
    complete: bool
    task_instances: int
    restarts: int
    peak_rss_bytes: int
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Race to its incidents and opportunities."""
    blind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Throughput:
    """Finished task instances of one arm per second of load."""

    task_instances_per_s: float
    task_instances: int
    load_s: float


@dataclass(frozen=True)
class Results:
    """A judged run. `blind` lists what was not seen, one sentence each."""

    run_id: str
    seed: int
    state: RunState
    verdict: Verdict
    arms: Sequence[ArmSummary]
    races: Mapping[str, RaceVerdict]
    throughput: Mapping[str, Throughput]
    blind: tuple[str, ...]
    blocks: tuple[BlockSummary, ...] = ()
    incidents: tuple[Incident, ...] = ()
    notes: tuple[str, ...] = ()
    harm: tuple[HarmMeasure, ...] = ()
    costs: tuple[CostChange, ...] = ()
    anomalies: Anomalies | None = None
    """None: no block had a change feed."""

    errors: tuple[str, ...] = ()
    """Why the run failed, a sentence each; empty if it did not."""


@dataclass(frozen=True)
class SettingDifference:
    """A setting of Airflow or PostgreSQL that a run changed. `system` is `Airflow` (with its release) or `PostgreSQL`.

    `value` is the arms' own value after the arm's name where it differs between them.
    """

    system: str
    name: str
    value: str
    default: str


@dataclass(frozen=True)
class Instrument:
    """The airflow-stress that made a run. `fixes` is a digest of the code of each fix that an arm used."""

    version: str = "unknown"
    commit: str = "unknown"
    fixes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFacts:
    """What the manifest knows and the report repeats: where, when, how, and the command to run it again."""

    run_id: str
    started_at: float
    ended_at: float | None
    command: str
    runtime: str
    host: Mapping[str, str]
    settings: Mapping[str, str]
    instrument: Instrument = field(default_factory=Instrument)
    differences: tuple[SettingDifference, ...] = ()
