"""What people do to task instances, by the REST API: the functions under its routes, in one session as there."""

from __future__ import annotations

from collections.abc import Callable

from airflow_stress_explore.world import Told, World, find, operation, supply


@operation("clearing", "somebody clears the first task", [("running", "restarting"), ("*", "none")])
def clearing(world: World, number: int) -> Callable[[], Told]:
    """As the route: read the task instances, then clear them."""
    clear = find("airflow.models.taskinstance", "clear_task_instances")
    task_instance = find("airflow.models.taskinstance", "TaskInstance")
    create_session = find("airflow.utils.session", "create_session")
    dag_run_state = find("airflow.utils.state", "DagRunState")

    def work() -> Told:
        from sqlalchemy import select

        with create_session(scoped=False) as session:
            query = select(task_instance).where(
                task_instance.dag_id == world.dag_id,
                task_instance.run_id == world.run_id,
                task_instance.task_id == "task_0",
            )
            found = list(session.scalars(query))
            supply(clear, tis=found, session=session, dag_run_state=dag_run_state.QUEUED)
        return Told("200")

    return work


@operation("marking", "somebody marks the first task failed", [("*", "failed"), ("*", "skipped")])
def marking(world: World, number: int) -> Callable[[], Told]:
    """As the route: the DAG of the run, then its task's state."""
    set_state = find("airflow.api.common.mark_tasks", "set_state")
    create_session = find("airflow.utils.session", "create_session")
    dag_run = find("airflow.models.dagrun", "DagRun")
    state = find("airflow.utils.state", "TaskInstanceState").FAILED

    def work() -> Told:
        bag = find("airflow.models.dagbag", "DBDagBag")()
        with create_session(scoped=False) as session:
            run = session.get(dag_run, world.dag_run)
            dag = supply(bag.get_dag_for_run, dag_run=run, session=session)
            task = dag.get_task("task_0")
            supply(set_state, tasks=[task], run_id=world.run_id, state=state, commit=True, session=session)
        return Told("200")

    return work
