"""What the feed reads: tables and columns that a checker can need.

A column that a release lacks is left out, and so is a table. The primary key is always read. Left out on purpose are
large values (rendered fields, arguments of triggers, results of callbacks) and columns that every statement writes
(`updated_at`, a run's `last_scheduling_decision`): each column costs the server, the reader and the file. An update
that changes nothing else does not appear in the feed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_TASK_INSTANCE = (
    "id",
    "task_instance_id",
    "dag_id",
    "run_id",
    "task_id",
    "map_index",
    "region_index",
    "region_id",
    "state",
    "try_number",
    "max_tries",
    "working_set",
    "archived_reason",
    "start_date",
    "end_date",
    "queued_dttm",
    "scheduled_dttm",
    "queued_by_job_id",
    "last_heartbeat_at",
    "hostname",
    "pid",
    "pool",
    "pool_slots",
    "trigger_id",
    "trigger_timeout",
    "next_method",
    "dag_version_id",
)

COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "task_instance": _TASK_INSTANCE,
        "task_instance_history": _TASK_INSTANCE,  # up to 3.3; from 3.4 on an earlier try stays in task_instance
        "dag_run": (
            "id",
            "dag_id",
            "run_id",
            "run_type",
            "state",
            "queued_at",
            "logical_date",
            "run_after",
            "start_date",
            "end_date",
            "clear_number",
            "creating_job_id",
            "scheduled_by_job_id",
            "backfill_id",
            "bundle_version",
            "created_dag_version_id",
            "partition_key",
        ),
        "trigger": ("id", "classpath", "created_date", "triggerer_id", "queue"),
        "deadline": (
            "id",
            "dagrun_id",
            "deadline_time",
            "missed",
            "callback_id",
            "callback_state",
            "trigger_id",
            "deadline_alert_id",
        ),
        "callback": ("id", "type", "fetch_method", "state", "priority_weight", "trigger_id", "created_at"),
        "asset_event": (
            "id",
            "asset_id",
            "source_dag_id",
            "source_run_id",
            "source_task_id",
            "source_map_index",
            "source_task_instance_id",
            "timestamp",
            "partition_key",
        ),
        "asset_dag_run_queue": ("asset_id", "target_dag_id", "asset_event_id", "created_at"),
        "asset_partition_dag_run": ("id", "target_dag_id", "created_dag_run_id", "partition_key", "created_at"),
        "partitioned_asset_key_log": (
            "id",
            "asset_id",
            "asset_event_id",
            "asset_partition_dag_run_id",
            "source_partition_key",
            "target_dag_id",
            "target_partition_key",
        ),
        "backfill": ("id", "dag_id", "from_date", "to_date", "is_paused", "max_active_runs", "completed_at"),
        "backfill_dag_run": (
            "id",
            "backfill_id",
            "dag_run_id",
            "exception_reason",
            "logical_date",
            "partition_key",
            "sort_ordinal",
        ),
        "job": ("id", "job_type", "state", "hostname", "start_date", "end_date", "latest_heartbeat"),
        "slot_pool": ("id", "pool", "slots", "include_deferred"),
        # Caps of runs and tasks.
        "dag": (
            "dag_id",
            "is_paused",
            "is_stale",
            "max_active_runs",
            "max_active_tasks",
            "exceeds_max_non_backfill",
            "fail_fast",
        ),
        "dag_version": ("id", "dag_id", "version_number", "created_at"),
    }
)
"""Table to columns, in any order: the server has its own."""
