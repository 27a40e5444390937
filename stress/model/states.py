"""The states of Airflow's rows, as the model names them."""

from __future__ import annotations

NONE = "none"
"""A task instance without a state: NULL in the database."""

ABSENT = "absent"
"""The state before the insert of a row."""

UNSEEN = "unseen"
"""The state of a row that the feed has not shown yet. No rule applies to its first change."""

SCHEDULED = "scheduled"
QUEUED = "queued"
RUNNING = "running"
RESTARTING = "restarting"
DEFERRED = "deferred"
AWAITING_INPUT = "awaiting_input"
UP_FOR_RETRY = "up_for_retry"
UP_FOR_RESCHEDULE = "up_for_reschedule"
SUCCESS = "success"
FAILED = "failed"
SKIPPED = "skipped"
UPSTREAM_FAILED = "upstream_failed"
REMOVED = "removed"
PENDING = "pending"

FINISHED = frozenset({SUCCESS, FAILED, SKIPPED, UPSTREAM_FAILED, REMOVED})
"""`State.finished` of airflow/utils/state.py."""

RUN_FINISHED = frozenset({SUCCESS, FAILED})
"""`State.finished_dr_states`."""

EXECUTING = frozenset({QUEUED, RUNNING})
"""`EXECUTION_STATES` of airflow/ti_deps/dependencies_states.py: what caps count."""

PARKED = frozenset({DEFERRED, UP_FOR_RESCHEDULE, AWAITING_INPUT})
"""A task instance that leaves these states starts a second time in the same try."""

SCHEDULABLE = (NONE, UP_FOR_RETRY, UP_FOR_RESCHEDULE)
"""`SCHEDULEABLE_STATES` of airflow/ti_deps/dependencies_states.py."""

UNFINISHED = (
    *SCHEDULABLE,
    SCHEDULED,
    QUEUED,
    RUNNING,
    RESTARTING,
    DEFERRED,
    AWAITING_INPUT,
)
EVERY = (*UNFINISHED, SUCCESS, FAILED, SKIPPED, UPSTREAM_FAILED, REMOVED)
