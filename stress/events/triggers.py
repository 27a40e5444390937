"""Triggerers: their frames, their runners, their triggers, and the callbacks of deadlines that they run."""

from __future__ import annotations

from stress.events.base import Event


class FrameError(Event, frozen=True, kw_only=True, tag="frame_error"):
    """A triggerer's log shows a broken exchange between runner and supervisor.

    `error` is `out_of_order` (with both frame ids), `foreign_loop`, or `runner_failed`; `line` is the log line, cut.
    """

    at: float
    component: str
    error: str
    got: int | None
    expected: int | None
    line: str


class RunnerDied(Event, frozen=True, kw_only=True, tag="runner_died"):
    """A triggerer's supervisor found its trigger runner dead."""

    at: float
    component: str


class CancellationDelivered(Event, frozen=True, kw_only=True, tag="cancellation_delivered"):
    """A trigger was cancelled, by its own receipt.

    `in_request` is whether it waited for an answer of the supervisor then; `next_frame` the id that the runner's next
    request would get (None on a release without such a counter).
    """

    at: float
    component: str
    pid: int
    trigger: int | None
    in_request: bool
    next_frame: int | None


class CancelledAnswer(Event, frozen=True, kw_only=True, tag="cancelled_answer"):
    """What a cancelled trigger got when it asked for its task's state: a state or an error."""

    at: float
    component: str
    pid: int
    trigger: int | None
    state: str | None
    error: str | None


class ReplyMisrouted(Event, frozen=True, kw_only=True, tag="reply_misrouted"):
    """A trigger asked for the state of its task and the answer was about another, by the trigger's own receipt.

    `expected` is the trigger's own run and task, `got` what the answer had in their place.
    """

    at: float
    component: str
    pid: int
    trigger: int | None
    expected: str
    got: str


class TriggersProgressed(Event, frozen=True, kw_only=True, tag="triggers_progressed"):
    """A runner's own count of finished polls since its start, and of the polling triggers that it runs now."""

    at: float
    component: str
    pid: int
    polls: int
    active: int


class TriggersOwned(Event, frozen=True, kw_only=True, tag="triggers_owned"):
    """How many polling triggers the database assigns to each triggerer (component name) now."""

    owned: dict[str, int]


class TriggerOwnerChanged(Event, frozen=True, kw_only=True, tag="trigger_owner_changed"):
    """A trigger was first seen or changed its owner. `callback` is whether it runs a deadline's callback."""

    trigger: int
    callback: bool
    owner: str | None


class CallbackExecuted(Event, frozen=True, kw_only=True, tag="callback_executed"):
    """A deadline's callback ran, by its own receipt: once per execution."""

    at: float
    component: str
    pid: int
    deadline: str
    trigger: int | None


class DeadlinesMissed(Event, frozen=True, kw_only=True, tag="deadlines_missed"):
    """The deadlines that the schedulers handled as missed in this block, by the database."""

    deadlines: list[str]
