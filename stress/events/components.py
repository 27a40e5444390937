"""The processes of a cluster: their lives, the faults that hit them, the fixes that they load, what they use."""

from __future__ import annotations

from stress.events.base import Event


class ComponentStarted(Event, frozen=True, kw_only=True, tag="component_started"):
    """A component's process was started; `restarts` counts from 0."""

    component: str
    pid: int
    restarts: int


class ComponentExited(Event, frozen=True, kw_only=True, tag="component_exited"):
    """A component's process ended by itself (or by a fault); negative codes are signals."""

    component: str
    pid: int
    code: int
    out_of_memory: bool = False


class FaultInjected(Event, frozen=True, kw_only=True, tag="fault_injected"):
    """A fault begins. `number` counts a block's faults from 0; `planned_s` is how long it is to last, 0 for a blow.

    `target` is a component's name, or `postgres`; `detail` the fault's own numbers, such as a delay.
    """

    number: int
    fault: str
    target: str
    planned_s: float
    detail: str = ""


class FaultHealed(Event, frozen=True, kw_only=True, tag="fault_healed"):
    """A fault was undone, or ended by itself; `seconds` is how long it lasted. `error`: why it could not be undone.

    `missed`: its target ended just before, so that nothing was broken.
    """

    number: int
    fault: str
    target: str
    seconds: float
    error: str = ""
    missed: bool = False


class ComponentsHealthy(Event, frozen=True, kw_only=True, tag="components_healthy"):
    """After all faults were healed: how long until every component gave a sign of life; `missing` did not."""

    seconds: float
    missing: list[str]


class FixReported(Event, frozen=True, kw_only=True, tag="fix_reported"):
    """An Airflow process said what it did with a fix: armed, loaded, not_needed, refused, error."""

    component: str
    pid: int
    fix: str
    status: str
    detail: str


class CpuUsed(Event, frozen=True, kw_only=True, tag="cpu_used"):
    """CPU seconds of the load by component, PostgreSQL (`postgres`) included.

    A component is its whole process tree, with the children that it has reaped; hollow workers count for their
    scheduler. A process that ended during the load counts up to its last sample, at most 5 s before its end.
    A component without any reading is absent.
    """

    seconds: dict[str, float]


class SchedulerLooped(Event, frozen=True, kw_only=True, tag="scheduler_looped"):
    """How long each pass of a scheduler's loop took that ended since the last look, by Airflow's own timer (seconds).

    The pause after a pass without work is not part of it.
    """

    component: str
    seconds: list[float]


class HarnessPaused(Event, frozen=True, kw_only=True, tag="harness_paused"):
    """The harness itself did not run for `seconds` before `at`: the whole machine was paused or starved."""

    at: float
    seconds: float


class MemorySampled(Event, frozen=True, kw_only=True, tag="memory_sampled"):
    """Proportional set size of the cluster (components and PostgreSQL) and of the harness with its load generator."""

    cluster_bytes: int
    harness_bytes: int
