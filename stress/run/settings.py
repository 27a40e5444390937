"""The configuration of every block's cluster, the same for all arms."""

from __future__ import annotations

from collections.abc import Mapping

from stress import layout
from stress.cluster.base import ClusterSettings
from stress.plan import Plan
from stress.races.registry import DAG_FILES
from stress.report.blind_spots import NOT_JUDGED


def cluster_settings(plan: Plan) -> ClusterSettings:
    """The settings of each cluster of a plan."""
    hollow = plan.workers == "hollow"
    return ClusterSettings(
        dags_folder=layout.DAGS,
        executor=layout.HOLLOW_EXECUTOR if hollow else "LocalExecutor",
        config={
            # Hollow workers cost almost nothing. Real ones cost a CPU second each, so that more of them would only
            # queue.
            "core.parallelism": "64" if hollow else "4",
            "core.max_active_tasks_per_dag": "64",
            **plan.config,
        },
        environment={
            "AIRFLOW_STRESS_HOLLOW_WORKERS": str(max(scenario.hollow_workers for scenario in plan.scenarios)),
            # Retries as long as Airflow's own worker does while its api-server restarts: 0.3 s doubled 7 times, 38 s.
            **({"AIRFLOW_STRESS_HOLLOW_ATTEMPTS": "8"} if plan.faults else {}),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        fixes_directory=layout.FIXES,
        dag_files_left_out=[name for name in DAG_FILES if name not in plan.dag_files],
        api_workers=plan.load.api_workers,
    )


def airflow_config(plan: Plan, arm: str) -> Mapping[str, str]:
    """Airflow's configuration on an arm: every cluster's, with the arm's own values over it."""
    own = next(each.config for each in plan.arms if each.name == arm)
    return {**cluster_settings(plan).config, **dict(own)}


def shown(plan: Plan) -> dict[str, str]:
    """The settings as the manifest has them."""
    cluster = cluster_settings(plan)
    return {
        "workers": plan.workers,
        "schedulers": str(cluster.schedulers),
        "triggerers": str(cluster.triggerers),
        "api-server workers": str(cluster.api_workers),
        "load per block": f"{plan.load.seconds:g} s",
        **({"faults": ", ".join(plan.faults)} if plan.faults else {}),
        **{f"{NOT_JUDGED}{race}": why for race, why in plan.left_out},
        **{f"airflow {option}": value for option, value in cluster.config.items()},
    }
