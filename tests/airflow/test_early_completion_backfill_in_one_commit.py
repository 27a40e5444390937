"""A backfill that is created, beside a scheduler that completes backfills and a user that creates another one."""

from __future__ import annotations

from typing import Any

import pytest
from played import party, state, work

FIX = "backfill_in_one_commit"
FIRST_RUN = r"^INSERT INTO dag_run "


def stored(database: Any) -> list[tuple[bool, int]]:
    """For each backfill, whether it is complete, and the number of its queued runs."""
    runs = "SELECT count(*) FROM dag_run WHERE backfill_id = backfill.id AND state = 'queued'"
    found = database.query(f"SELECT completed_at IS NOT NULL, ({runs}) FROM backfill ORDER BY id")
    return [(row[0], row[1]) for row in found]


@pytest.mark.parametrize("fix", [None, FIX])
def test_a_backfill_that_is_being_created_is_not_completed(
    database: Any, mounted: Any, release: str, fix: str | None
) -> None:
    dag = state(release, "scheduled_dag")
    with mounted(*([fix] if fix else [])) as status:
        assert status == ({fix: "loaded"} if fix else {})
        user = party(dag, "backfill_creation").stop("before", FIRST_RUN).run_to_stop()
        party(dag, "backfill_completion", 1).start().result()
        answer = user.resume().result().answer
    assert answer == "200"
    assert stored(database) == [(fix is None, 2)]


def test_one_of_two_users_creates_a_backfill(database: Any, mounted: Any, release: str) -> None:
    dag = state(release, "scheduled_dag")
    with mounted(FIX):
        first = party(dag, "backfill_creation").stop("before", FIRST_RUN).run_to_stop()
        second = work(dag, "backfill_creation", 1)
        assert second().answer == "409"
        assert first.resume().result().answer == "200"
        assert second().answer == "409"
    assert stored(database) == [(False, 2)]


def test_a_creation_that_fails_leaves_nothing(
    database: Any, mounted: Any, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models import backfill

    def fail(**_: object) -> None:
        raise RuntimeError("a run cannot be created")

    dag = state(release, "scheduled_dag")
    with mounted(FIX):
        with monkeypatch.context() as patched:
            patched.setattr(backfill, "_get_latest_dag_run_row_query", fail)
            with pytest.raises(RuntimeError, match="cannot be created"):
                work(dag, "backfill_creation")()
        assert stored(database) == []
        assert work(dag, "backfill_creation")().answer == "200"
    assert stored(database) == [(False, 2)]
