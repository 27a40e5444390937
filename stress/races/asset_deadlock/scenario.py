"""Reports of success with the same outlets, made together and answered by several api-server processes."""

from __future__ import annotations

from stress.races.scenario import Scenario

PRODUCERS = ("outlets_0", "outlets_1")
CONSUMERS = ("outlets_0_consumer_0", "outlets_0_consumer_1", "outlets_1_consumer_0", "outlets_1_consumer_1")

SCENARIO = Scenario(
    name="shared_outlets",
    summary="tasks with the same outlets succeed together, with several api-server processes",
    dags=(*PRODUCERS, *CONSUMERS),
    dag_files=("asset_deadlock",),
    users=("OutletProducer", "UiReader"),
    observers=("postgres_log", "execution_api", "database"),
    # Each process has its own order of a set of assets.
    api_workers=3,
    hollow_workers=48,
    on_request=True,
)
