"""What the ordered, skipping version refresh really does (#66734's proposal)."""

from __future__ import annotations

from typing import Any

import pytest
from dag_data import running_run, task_instance_ids, write_dag
from parties import Party
from scheduler_parts import refresh_dag_version
from state_updates import heartbeat
from test_deadlock_state_update_lock_scope import new_run, race

from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit

FIX = "proposed_ordered_version_refresh"


@pytest.fixture(autouse=True)
def _needs_the_bulk_update(release: str, mounted: Any) -> None:
    """On a release without the bulk UPDATE all there is to see is that the proposal says so."""
    if FIXES[FIX].fits(release) is not Fit.APPLIES:
        with mounted(FIX) as status:
            assert status == {FIX: "not_needed"}
        pytest.skip("no bulk update of dag_version_id in this release: reported as not needed")


def versions(database: Any, dag_id: str) -> dict[str, int]:
    """The version number of each task instance's DAG, by task."""
    rows = database.query(
        "SELECT ti.task_id, v.version_number FROM task_instance ti"
        " JOIN dag_version v ON v.id = ti.dag_version_id WHERE ti.dag_id = %s",
        dag_id,
    )
    return dict(rows)


def test_breaks_the_cycle(database: Any, mounted: Any, release: str) -> None:
    defect = FIXES["state_update_lock_scope"].fits(release) is Fit.APPLIES
    assert race(database, new_run("stock")) == (1 if defect else 0)
    with mounted(FIX):
        assert race(database, new_run("proposed")) == 0


def test_ends_and_refreshes_all_with_more_rows_than_a_batch(database: Any, mounted: Any, monkeypatch: Any) -> None:
    from airflow_stress_fixes.deadlock import proposed_ordered_version_refresh

    monkeypatch.setattr(proposed_ordered_version_refresh, "BATCH", 2)
    run = running_run("batches", tasks=5)
    write_dag("batches", tasks=5, extra="version 2")
    with mounted(FIX):
        refresh = Party("scheduler", lambda: refresh_dag_version(run)).start()
        refresh.result()
    assert set(versions(database, "batches").values()) == {2}
    assert sum("SKIP LOCKED" in s and "dag_version_id !=" in s for s in refresh.statements) == 4


def test_a_row_skipped_during_its_heartbeat_keeps_the_old_version_for_good(database: Any, mounted: Any) -> None:
    """The task goes on running, and no later refresh finds that it is behind, because another one isn't."""
    run = new_run("skipped")
    with mounted(FIX):
        beat = Party("heartbeat", lambda: heartbeat(task_instance_ids(run)[0]))
        beat.stop("after", r"UPDATE task_instance SET .*last_heartbeat_at").run_to_stop()
        refresh_dag_version(run)
        beat.resume().result()
        refresh_dag_version(run)
        assert versions(database, "skipped") == {"task_0": 1, "task_1": 2}

    stock = new_run("stock")
    refresh_dag_version(stock)
    assert versions(database, "stock") == {"task_0": 2, "task_1": 2}
