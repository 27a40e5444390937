"""The api-server's side: the real route function of a task's state update, with a session of its own."""

from __future__ import annotations

from typing import Any

from dag_data import NOW, WORKER

from airflow_stress_explore.airflow.operations.api_server import call


def success(outlet_events: list[dict[str, Any]] | None = None) -> Any:
    """A worker's report of success."""
    from airflow.api_fastapi.execution_api.datamodels.taskinstance import TISuccessStatePayload

    return TISuccessStatePayload(state="success", end_date=NOW, outlet_events=outlet_events or [])


UNREADABLE_EVENTS = [{"extra": {}}]
"""Outlet events without a key: the update fails in Python, not in SQL, and goes to the error handler."""


def update_state(task_instance_id: Any, payload: Any, before_commit: Any = None) -> None:
    """``PATCH /execution/task-instances/{id}/state``, from the route function to the commit."""
    from airflow.api_fastapi.execution_api.routes.task_instances import ti_update_state
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        ti_update_state(task_instance_id, payload, session=session, dag_bag=DBDagBag())
        session.flush()
        if before_commit is not None:
            before_commit()


def stored_state(database: Any, task_instance_id: Any) -> str:
    """The committed state."""
    return str(database.query("SELECT state FROM task_instance WHERE id = %s", str(task_instance_id))[0][0])


def heartbeat(task_instance_id: Any) -> None:
    """``PUT /execution/task-instances/{id}/heartbeat``, from the route function to the commit."""
    from airflow.api_fastapi.execution_api.datamodels.taskinstance import TIHeartbeatInfo
    from airflow.api_fastapi.execution_api.routes.task_instances import ti_heartbeat
    from airflow.utils.session import create_session

    hostname, pid = WORKER
    with create_session(scoped=False) as session:
        payload = TIHeartbeatInfo(hostname=hostname, pid=pid)
        call(ti_heartbeat, session, task_instance_id=task_instance_id, ti_payload=payload)  # since 3.4 a coroutine
