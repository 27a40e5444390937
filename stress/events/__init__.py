"""What can be in a history: one frozen type per kind of event.

An event says what was seen, and by which observer, in a form that a checker can use years later; it never says what it
means (`counts.py` alone holds conclusions). The envelope around it (sequence number, time, block, checksum) belongs to
`history.py`. Times inside events are unix seconds, and are there only where the observed thing carries an earlier time
than its observation.

One module a topic. No module here imports a race, a checker, the judge or the metrics.

A kind is never renamed and a field never changes its meaning: a new one is added, with a default.
"""

from __future__ import annotations

from stress.events.aftermath import (
    BlockSettled,
    DeadlinesPassed,
    FiniteTasksCounted,
    PassedDeadline,
    UnfinishedRun,
    UnfinishedTask,
)
from stress.events.base import Event
from stress.events.block import (
    BlockEnded,
    BlockStarted,
    ClusterReady,
    LoadActed,
    LoadReported,
    LoadStarted,
    LoadStopped,
    ObserverBlind,
    ObserverUp,
    PhaseEnded,
    RequestAnswered,
    RequestSent,
    StaleVersionsCounted,
    TaskDelays,
    TasksCounted,
)
from stress.events.components import (
    ComponentExited,
    ComponentsHealthy,
    ComponentStarted,
    CpuUsed,
    FaultHealed,
    FaultInjected,
    FixReported,
    HarnessPaused,
    MemorySampled,
    SchedulerLooped,
)
from stress.events.counts import CountedIncident, MeasureCounted, RaceCounted
from stress.events.database import DatabaseSampled, DeadlockSeen, DeadlockSide, LockTimeoutSeen
from stress.events.execution_api import (
    API_BOUNDS_S,
    ApiAnswered,
    DoubleStart,
    ReportAnswered,
    SuccessAcknowledged,
    WorkerIdentity,
    WorkerRefused,
)
from stress.events.feed import FeedEnded, RowChange, TransactionCommitted
from stress.events.plan import SCHEMA, ArmPlanned, MeasurePlanned, RacePlanned, RunPlanned
from stress.events.triggers import (
    CallbackExecuted,
    CancellationDelivered,
    CancelledAnswer,
    DeadlinesMissed,
    FrameError,
    ReplyMisrouted,
    RunnerDied,
    TriggerOwnerChanged,
    TriggersOwned,
    TriggersProgressed,
)

__all__ = [
    "API_BOUNDS_S",
    "SCHEMA",
    "AnyEvent",
    "ApiAnswered",
    "ArmPlanned",
    "BlockEnded",
    "BlockSettled",
    "BlockStarted",
    "CallbackExecuted",
    "CancellationDelivered",
    "CancelledAnswer",
    "ClusterReady",
    "ComponentExited",
    "ComponentStarted",
    "ComponentsHealthy",
    "CountedIncident",
    "CpuUsed",
    "DatabaseSampled",
    "DeadlinesMissed",
    "DeadlinesPassed",
    "DeadlockSeen",
    "DeadlockSide",
    "DoubleStart",
    "Event",
    "FaultHealed",
    "FaultInjected",
    "FeedEnded",
    "FiniteTasksCounted",
    "FixReported",
    "FrameError",
    "HarnessPaused",
    "LoadActed",
    "LoadReported",
    "LoadStarted",
    "LoadStopped",
    "LockTimeoutSeen",
    "MeasureCounted",
    "MeasurePlanned",
    "MemorySampled",
    "ObserverBlind",
    "ObserverUp",
    "PassedDeadline",
    "PhaseEnded",
    "RaceCounted",
    "RacePlanned",
    "ReplyMisrouted",
    "ReportAnswered",
    "RequestAnswered",
    "RequestSent",
    "RowChange",
    "RunPlanned",
    "RunnerDied",
    "SchedulerLooped",
    "StaleVersionsCounted",
    "SuccessAcknowledged",
    "TaskDelays",
    "TasksCounted",
    "TransactionCommitted",
    "TriggerOwnerChanged",
    "TriggersOwned",
    "TriggersProgressed",
    "UnfinishedRun",
    "UnfinishedTask",
    "WorkerIdentity",
    "WorkerRefused",
]

AnyEvent = (
    ArmPlanned
    | RunPlanned
    | RacePlanned
    | MeasurePlanned
    | BlockStarted
    | ClusterReady
    | PhaseEnded
    | LoadStarted
    | LoadStopped
    | BlockEnded
    | RaceCounted
    | MeasureCounted
    | ComponentStarted
    | ComponentExited
    | FaultInjected
    | FaultHealed
    | ComponentsHealthy
    | FixReported
    | CpuUsed
    | SchedulerLooped
    | HarnessPaused
    | MemorySampled
    | ObserverUp
    | ObserverBlind
    | DeadlockSeen
    | LockTimeoutSeen
    | DatabaseSampled
    | FrameError
    | RunnerDied
    | CancellationDelivered
    | CancelledAnswer
    | ReplyMisrouted
    | TriggersProgressed
    | TriggersOwned
    | TriggerOwnerChanged
    | CallbackExecuted
    | DeadlinesMissed
    | ApiAnswered
    | DoubleStart
    | LoadActed
    | LoadReported
    | TasksCounted
    | TaskDelays
    | StaleVersionsCounted
    | SuccessAcknowledged
    | WorkerRefused
    | ReportAnswered
    | RequestAnswered
    | RequestSent
    | BlockSettled
    | DeadlinesPassed
    | FiniteTasksCounted
    | TransactionCommitted
    | FeedEnded
)
