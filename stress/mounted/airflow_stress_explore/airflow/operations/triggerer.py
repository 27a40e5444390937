"""What triggerers do in the database."""

from __future__ import annotations

from collections.abc import Callable

from airflow_stress_explore.airflow.operation import Fixture, Response, find, operation, supply

CAPACITY = 10
HEALTH_THRESHOLD_S = 3600


@operation("trigger_assignment", "a triggerer takes triggers that wait, and looks which are its own", periodic=True)
def trigger_assignment(fixture: Fixture, number: int) -> Callable[[], Response]:
    """As `TriggerRunnerSupervisor.load_triggers`: assign, then read what it is to run."""
    trigger = find("airflow.models.trigger", "Trigger")
    job = fixture.jobs[f"triggerer-{number}"]

    def work() -> Response:
        supply(
            trigger.assign_unassigned,
            triggerer_id=job,
            capacity=CAPACITY,
            health_check_threshold=HEALTH_THRESHOLD_S,
            **_session_free(),
        )
        owned = supply(trigger.ids_for_triggerer, triggerer_id=job)
        return Response(f"{len(owned)} triggers", owned=tuple(f"trigger {id_}" for id_ in owned))

    return work


def _session_free() -> dict[str, None]:
    """`queues` and `team_name` of later releases: none, as a triggerer without options."""
    return {"queues": None, "team_name": None}


@operation("trigger_event", "a triggerer hands in the event of a deferred task's trigger", [("deferred", "scheduled")])
def trigger_event(fixture: Fixture, number: int) -> Callable[[], Response]:
    trigger = find("airflow.models.trigger", "Trigger")
    event = find("airflow.triggers.base", "TriggerEvent")

    def work() -> Response:
        supply(trigger.submit_event, trigger_id=fixture.triggers[0], event=event({"from": number}))
        return Response("done")

    return work


@operation("trigger_end_event", "a triggerer hands in that a deferred task has succeeded", [("deferred", "success")])
def trigger_end_event(fixture: Fixture, number: int) -> Callable[[], Response]:
    """With an XCom, as a trigger pushes when it ends its task without resuming it."""
    trigger = find("airflow.models.trigger", "Trigger")
    event = find("airflow.triggers.base", "TaskSuccessEvent")

    def work() -> Response:
        supply(trigger.submit_event, trigger_id=fixture.triggers[0], event=event(xcoms={"return_value": number}))
        return Response("done")

    return work


@operation("trigger_failure", "a triggerer hands in that a deferred task's trigger failed", [("deferred", "scheduled")])
def trigger_failure(fixture: Fixture, number: int) -> Callable[[], Response]:
    """The triggerer that owns the trigger: from 3.4 on a failure of another one is ignored."""
    trigger = find("airflow.models.trigger", "Trigger")
    owner = fixture.jobs["owner"]

    def work() -> Response:
        supply(trigger.submit_failure, trigger_id=fixture.triggers[0], exc=["it failed"], triggerer_id=owner)
        return Response("done")

    return work


@operation("trigger_cleanup", "a triggerer removes triggers that nothing refers to", periodic=True, row_by_row=True)
def trigger_cleanup(fixture: Fixture, number: int) -> Callable[[], Response]:
    trigger = find("airflow.models.trigger", "Trigger")

    def work() -> Response:
        supply(trigger.clean_unused)
        return Response("done")

    return work
