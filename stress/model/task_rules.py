"""What moves a task instance, by release line. Read in 3.1.8, 3.2.1, 3.3.2 and 3.4.0b2.

Until 3.3 a retry, a clear or an adoption gives the row another id (`TaskInstance.prepare_db_for_next_try`): rules with
`new_attempt`. From 3.4 on the old row stays, archived (`working_set` is NULL), and a new row is its successor: neither
is a transition of a living row (`tasks.py`).
"""

from __future__ import annotations

from stress.model.rules import ANY_ROLE, API, SCHEDULER, TRIGGERER, Need, Rule
from stress.model.states import (
    ABSENT,
    AWAITING_INPUT,
    DEFERRED,
    EVERY,
    FAILED,
    FINISHED,
    NONE,
    QUEUED,
    REMOVED,
    RESTARTING,
    RUNNING,
    SCHEDULABLE,
    SCHEDULED,
    SKIPPED,
    SUCCESS,
    UNFINISHED,
    UP_FOR_RESCHEDULE,
    UP_FOR_RETRY,
    UPSTREAM_FAILED,
)

_MARKED_RUNNING = (RUNNING, DEFERRED, UP_FOR_RESCHEDULE, AWAITING_INPUT)
_MARKED_PENDING = tuple(state for state in UNFINISHED if state not in _MARKED_RUNNING)

_SCHEDULING = (
    Rule((ABSENT,), (NONE,), ANY_ROLE, "models.dagrun:DagRun.verify_integrity"),
    Rule(SCHEDULABLE, (SCHEDULED,), SCHEDULER, "models.dagrun:DagRun.schedule_tis"),
    Rule(SCHEDULABLE, (SUCCESS,), SCHEDULER, "models.dagrun:DagRun.schedule_tis"),
    Rule(SCHEDULABLE, (DEFERRED,), SCHEDULER, "models.taskinstance:TaskInstance.defer_task", since=(3, 3)),
    Rule(
        SCHEDULABLE,
        (SKIPPED, UPSTREAM_FAILED, REMOVED),
        SCHEDULER,
        "ti_deps.deps.trigger_rule_dep:TriggerRuleDep._evaluate_trigger_rule",
    ),
    Rule(
        (SCHEDULED, QUEUED, RUNNING, RESTARTING),
        (SKIPPED, UPSTREAM_FAILED),
        SCHEDULER,
        "models.dagrun:DagRun._are_premature_tis",
        Need.SIBLING_ENDED_BADLY,
    ),
    Rule(EVERY, (REMOVED,), ANY_ROLE, "models.dagrun:DagRun.task_instance_scheduling_decisions"),
    Rule((REMOVED,), (NONE,), ANY_ROLE, "models.dagrun:DagRun._check_for_removed_or_restored_tasks"),
    Rule(
        UNFINISHED,
        (SKIPPED,),
        SCHEDULER,
        "jobs.scheduler_job_runner:SchedulerJobRunner._schedule_dag_run",
        Need.RUN_ENDED,
    ),
    Rule(
        (SCHEDULED,),
        (QUEUED, FAILED),
        SCHEDULER,
        "jobs.scheduler_job_runner:SchedulerJobRunner._executable_task_instances_to_queued",
        until=(3, 3),
    ),
    Rule(
        (SCHEDULED,),
        (QUEUED,),
        SCHEDULER,
        "jobs.scheduler_job_runner:SchedulerJobRunner._mark_task_instances_queued",
        since=(3, 4),
    ),
    Rule(
        (SCHEDULED,),
        (FAILED,),
        SCHEDULER,
        "jobs.scheduler_job_runner:SchedulerJobRunner._task_concurrency_allows_execution",
        since=(3, 4),
    ),
    Rule(
        (QUEUED,),
        (NONE,),
        SCHEDULER,
        "jobs.scheduler_job_runner:SchedulerJobRunner._enqueue_task_instances_with_queued_state",
        Need.RUN_ENDED,
    ),
    Rule(
        (QUEUED,),
        (SCHEDULED,),
        SCHEDULER,
        "jobs.scheduler_job_runner:SchedulerJobRunner._reschedule_stuck_task",
        Need.REQUEUED,
    ),
    Rule((QUEUED,), (FAILED,), SCHEDULER, "jobs.scheduler_job_runner:SchedulerJobRunner._maybe_requeue_stuck_ti"),
    Rule(
        (SCHEDULED, QUEUED, RUNNING, RESTARTING),
        (FAILED, UP_FOR_RETRY),
        SCHEDULER,
        "jobs.scheduler_job_runner:SchedulerJobRunner.process_executor_events",
    ),
    Rule((RESTARTING,), (NONE,), SCHEDULER, "jobs.scheduler_job_runner:SchedulerJobRunner.process_executor_events"),
    Rule(
        (QUEUED, RUNNING, RESTARTING),
        (NONE,),
        SCHEDULER,
        "jobs.scheduler_job_runner:SchedulerJobRunner.adopt_or_reset_orphaned_tasks",
        new_attempt=True,
        until=(3, 3),
    ),
    Rule(
        (RUNNING,),
        (UP_FOR_RETRY,),
        SCHEDULER,
        "models.taskinstance:TaskInstance.fetch_handle_failure_context",
        new_attempt=True,
        until=(3, 3),
    ),
)

_EXECUTION_API = (
    Rule((QUEUED,), (RUNNING,), API, "api_fastapi.execution_api.routes.task_instances:ti_run"),
    Rule((RESTARTING,), (RUNNING,), API, "api_fastapi.execution_api.routes.task_instances:ti_run", until=(3, 3)),
    Rule(
        (RUNNING,),
        (SUCCESS, FAILED, SKIPPED, REMOVED, UPSTREAM_FAILED, DEFERRED, UP_FOR_RESCHEDULE, UP_FOR_RETRY),
        API,
        "api_fastapi.execution_api.routes.task_instances:ti_update_state",
    ),
    Rule(
        (RUNNING,),
        (AWAITING_INPUT,),
        API,
        "api_fastapi.execution_api.routes.task_instances:ti_update_state",
        since=(3, 3),
    ),
    Rule(
        (RUNNING,),
        (SCHEDULED,),
        API,
        "api_fastapi.execution_api.routes.task_instances:ti_update_state",
        Need.KNOWN_WRITER,
        since=(3, 3),
    ),
    Rule(
        (RUNNING,),
        (UP_FOR_RETRY,),
        API,
        "api_fastapi.execution_api.routes.task_instances:ti_update_state",
        new_attempt=True,
        until=(3, 3),
    ),
    Rule(
        (RUNNING,),
        (FAILED,),
        API,
        "models.taskinstance:_stop_remaining_tasks",
        Need.SIBLING_ENDED_BADLY,
    ),
    Rule(
        tuple(state for state in EVERY if state not in (RUNNING, SUCCESS, FAILED)),
        (SKIPPED,),
        API,
        "models.taskinstance:_stop_remaining_tasks",
        Need.SIBLING_ENDED_BADLY,
    ),
    Rule(
        tuple(state for state in EVERY if state not in (RUNNING, SUCCESS, FAILED)),
        (SKIPPED,),
        API,
        "api_fastapi.execution_api.routes.task_instances:ti_skip_downstream",
        Need.KNOWN_WRITER,
    ),
)

_TRIGGERS = (
    Rule((DEFERRED,), (SCHEDULED,), TRIGGERER, "models.trigger:Trigger.submit_event"),
    Rule((DEFERRED,), (SCHEDULED,), SCHEDULER, "jobs.scheduler_job_runner:SchedulerJobRunner.check_trigger_timeouts"),
    Rule((DEFERRED,), (SUCCESS, FAILED, SKIPPED), TRIGGERER, "models.trigger:handle_event_submit"),
    Rule((DEFERRED,), (UP_FOR_RETRY,), TRIGGERER, "models.trigger:handle_event_submit", since=(3, 3)),
    Rule(
        (DEFERRED,),
        (UP_FOR_RETRY,),
        TRIGGERER,
        "models.trigger:handle_event_submit",
        since=(3, 3),
        until=(3, 3),
        new_attempt=True,
    ),
    Rule((AWAITING_INPUT,), (SCHEDULED,), API, "models.trigger:handle_event_submit", since=(3, 3)),
    Rule(
        (AWAITING_INPUT,),
        (SCHEDULED,),
        SCHEDULER,
        "jobs.scheduler_job_runner:SchedulerJobRunner.check_awaiting_input_timeouts",
        since=(3, 3),
    ),
)

_USERS = (
    Rule(EVERY, (SUCCESS, FAILED, SKIPPED), API, "api.common.mark_tasks:set_state", Need.MARK_TASK),
    Rule(
        _MARKED_RUNNING,
        (SUCCESS, FAILED),
        API,
        "api.common.mark_tasks:set_dag_run_state_to_failed",
        Need.MARK_RUN,
    ),
    Rule(
        _MARKED_PENDING,
        (SKIPPED,),
        API,
        "api.common.mark_tasks:set_dag_run_state_to_failed",
        Need.MARK_RUN_ANY,
    ),
    Rule(
        EVERY,
        (NONE, RESTARTING),
        API,
        "models.taskinstance:clear_task_instances",
        Need.CLEAR,
        new_attempt=True,
        until=(3, 3),
    ),
    Rule((RUNNING,), (RESTARTING,), API, "models.taskinstance:clear_task_instances", Need.CLEAR, since=(3, 4)),
    Rule(
        tuple(sorted({*UNFINISHED, *FINISHED} - {RUNNING})),
        (NONE,),
        API,
        "models.taskinstance:clear_task_instances",
        Need.CLEAR,
        since=(3, 4),
    ),
)

RULES = (*_SCHEDULING, *_EXECUTION_API, *_TRIGGERS, *_USERS)
"""All rules of task instances."""
