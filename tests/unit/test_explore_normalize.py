"""Rows of two states that are the same but for times and generated keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from airflow_stress_explore.airflow.normalize import for_airflow, row_label
from airflow_stress_explore.sql.normalize import by_generated_keys

ONE = "01910f3c-0000-7000-8000-000000000001"
OTHER = "01910f3c-0000-7000-8000-00000000000f"


class FakeDatabase:
    """Knows one table with a key from a sequence, and one that refers to it."""

    def query(self, _statement: str) -> list[Sequence[Any]]:
        return [("job", "id", "job", "id"), ("note", "job_id", "job", "id")]


def generic(starting: dict[str, Any]) -> Any:
    return by_generated_keys(FakeDatabase(), starting)  # type: ignore[arg-type] # only `query` is used


def test_a_key_of_the_starting_state_stays_and_a_new_one_is_new() -> None:
    normalize = generic({"job": [{"id": 1}], "note": []})
    assert normalize("job", [{"id": 7, "by": "a"}, {"id": 1, "by": "b"}]) == (
        '{"by": "a", "id": "new"}',
        '{"by": "b", "id": 1}',
    )


def test_a_foreign_key_to_a_new_row_is_new_and_none_stays_none() -> None:
    normalize = generic({"job": [{"id": 1}]})
    rows = [{"job_id": 1}, {"job_id": 7}, {"job_id": None}]
    assert normalize("note", rows) == ('{"job_id": "new"}', '{"job_id": 1}', '{"job_id": null}')


def test_a_plain_number_is_compared() -> None:
    normalize = generic({})
    assert normalize("account", [{"id": 1, "balance": 9}]) != normalize("account", [{"id": 2, "balance": 9}])


@pytest.mark.parametrize("time", ["2026-01-02T03:04:05.678+00:00", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05"])
def test_times_are_left_out(time: str) -> None:
    assert generic({})("log", [{"at": time}]) == ('{"at": "T"}',)


def test_a_new_uuid_is_new() -> None:
    normalize = generic({"task": [{"id": ONE}]})
    assert normalize("task", [{"id": OTHER}, {"id": ONE}]) == (f'{{"id": "{ONE}"}}', '{"id": "new"}')


def airflow(table: str, *rows: dict[str, Any]) -> Any:
    return for_airflow(FakeDatabase(), {"task_instance": [{"id": ONE}]})(table, rows)  # type: ignore[arg-type]


def test_of_airflows_rows_numbers_of_sequences_and_durations_are_left_out() -> None:
    assert airflow("log", {"id": 1, "duration": 0.1, "event": "x"}) == ('{"event": "x"}',)
    assert airflow("task_instance", {"id": ONE, "trigger_id": 4}) == airflow(
        "task_instance", {"id": ONE, "trigger_id": 5}
    )
    assert airflow("task_instance", {"id": ONE, "trigger_id": 4}) != airflow(
        "task_instance", {"id": ONE, "trigger_id": None}
    )


def test_the_history_of_task_instances_is_compared_without_its_trigger() -> None:
    row = {"task_instance_id": ONE, "state": "failed"}
    assert airflow("task_instance_history", {**row, "trigger_id": 4}) == airflow(
        "task_instance_history", {**row, "trigger_id": None}
    )


@pytest.mark.parametrize(
    ("row", "label"),
    [
        ({"id": ONE, "dag_id": "d", "run_id": "r", "task_id": "t"}, "d/r/t"),
        ({"id": 12}, "12"),
        ({"id": ONE, "name": "n"}, ONE[-12:]),
        ({"key": "k"}, "k"),
    ],
)
def test_a_row_is_labelled_by_what_a_reader_knows(row: dict[str, Any], label: str) -> None:
    assert row_label(row) == label
