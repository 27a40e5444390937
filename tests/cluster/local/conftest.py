"""One started cluster for all tests of this directory: to start one takes longer than to ask it anything.

A test that breaks something in it waits until every component is healthy again.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stress.arms.releases import check
from stress.arms.spec import Arm, parse_arm
from stress.cluster.base import ClusterSettings
from stress.cluster.local import LocalCluster, LocalRuntime, PreparedLocalRuntime
from stress.faults.recovery import CONFIG


@pytest.fixture(scope="package")
def arm() -> Arm:
    """Stock. Its environment comes from the user's cache, as a run's does; it is made if it is not there."""
    return parse_arm("stock", check("3.2.1"))


@pytest.fixture(scope="package")
def runtime(arm: Arm) -> Iterator[PreparedLocalRuntime]:
    """A runtime that is ready for blocks."""
    with LocalRuntime() as runtime:
        yield runtime.prepare([arm])


@pytest.fixture(scope="package")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ClusterSettings:
    """What blocks with faults are told. Another cluster with the same configuration forks from the same parents."""
    return ClusterSettings(dags_folder=tmp_path_factory.mktemp("dags"), config=CONFIG, deadlock_timeout_ms=50)


@pytest.fixture(scope="package")
def cluster(
    runtime: PreparedLocalRuntime, arm: Arm, settings: ClusterSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalCluster]:
    """A started cluster."""
    cluster = runtime.open(arm, 1, tmp_path_factory.mktemp("logs"), settings)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
