"""What moves a run, a callback and a deadline. Read in 3.1.8, 3.2.1, 3.3.2 and 3.4.0b2.

Callbacks are rows of their own from 3.2 on; in 3.1 a deadline has the state of its callback itself.
"""

from __future__ import annotations

from stress.model.rules import ANY_ROLE, API, SCHEDULER, TRIGGERER, Need, Rule
from stress.model.states import ABSENT, FAILED, NONE, PENDING, QUEUED, RUNNING, SCHEDULED, SUCCESS

_ALL = (QUEUED, RUNNING, SUCCESS, FAILED)

RUN_RULES = (
    Rule((ABSENT,), (QUEUED,), ANY_ROLE, "models.dagrun:DagRun.__init__"),
    Rule((QUEUED,), (RUNNING,), SCHEDULER, "jobs.scheduler_job_runner:SchedulerJobRunner._start_queued_dagruns"),
    Rule((RUNNING,), (SUCCESS, FAILED), SCHEDULER, "models.dagrun:DagRun.update_state"),
    Rule(
        _ALL,
        (SUCCESS, FAILED, QUEUED),
        API,
        "api.common.mark_tasks:_set_dag_run_state",
        Need.MARK_RUN,
    ),
    Rule((SUCCESS, FAILED), (QUEUED,), API, "models.taskinstance:clear_task_instances", Need.CLEAR),
    Rule((QUEUED,), (FAILED,), API, "api_fastapi.core_api.routes.public.backfills:cancel_backfill", Need.KNOWN_WRITER),
)

CALLBACK_RULES = (
    Rule((ABSENT,), (SCHEDULED, NONE), ANY_ROLE, "models.callback:Callback.__init__", since=(3, 2)),
    Rule((SCHEDULED,), (QUEUED, PENDING), SCHEDULER, "models.deadline:Deadline.handle_miss", since=(3, 2)),
    Rule((SCHEDULED,), (FAILED,), SCHEDULER, "models.deadline:Deadline.handle_miss", since=(3, 4)),
    Rule(
        (PENDING,),
        (QUEUED,),
        SCHEDULER,
        "jobs.scheduler_job_runner:SchedulerJobRunner._enqueue_executor_callbacks",
        since=(3, 2),
    ),
    Rule(
        (QUEUED,), (RUNNING, SUCCESS, FAILED), TRIGGERER, "models.callback:TriggererCallback.handle_event", since=(3, 2)
    ),
    Rule((RUNNING,), (SUCCESS, FAILED), TRIGGERER, "models.callback:TriggererCallback.handle_event", since=(3, 2)),
    Rule(
        (QUEUED,),
        (RUNNING, SUCCESS, FAILED),
        SCHEDULER,
        "jobs.scheduler_job_runner:SchedulerJobRunner.process_executor_events",
        since=(3, 2),
    ),
    Rule(
        (RUNNING,),
        (SUCCESS, FAILED),
        SCHEDULER,
        "jobs.scheduler_job_runner:SchedulerJobRunner.process_executor_events",
        since=(3, 2),
    ),
)

DEADLINE_RULES = (
    Rule((ABSENT,), (NONE,), ANY_ROLE, "models.deadline:Deadline.__init__"),
    Rule((NONE,), (QUEUED,), SCHEDULER, "models.deadline:Deadline.handle_miss", until=(3, 1)),
    Rule(
        (QUEUED,), (RUNNING, SUCCESS, FAILED), TRIGGERER, "models.deadline:Deadline.handle_callback_event", until=(3, 1)
    ),
    Rule((RUNNING,), (SUCCESS, FAILED), TRIGGERER, "models.deadline:Deadline.handle_callback_event", until=(3, 1)),
)
