"""The load's trigger checks that each answer is about its own task, and leaves a receipt of one that is not."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "dags"))

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_stress_dags import out_of_order_frame as triggers
from airflow_stress_dags import receipts


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The directory that the harness mounts."""
    monkeypatch.setattr(receipts, "SHARED", str(tmp_path))
    monkeypatch.setattr(receipts, "_files", {})
    return tmp_path


def misrouted(shared: Path) -> list[dict[str, Any]]:
    """The receipts of wrong replies."""
    return [json.loads(line) for file in shared.glob("receipts/misrouted-*") for line in file.read_text().splitlines()]


class TriggerOfATask(triggers.BigQueryLikeTrigger):
    """A trigger whose task instance is fixed: a release's own setter asks more of one than is tested here."""

    @property
    def task_instance(self) -> Any:
        return SimpleNamespace(dag_id="d", task_id="t", run_id="r1")

    @task_instance.setter
    def task_instance(self, value: Any) -> None:
        """Ignored."""


def ask(monkeypatch: pytest.MonkeyPatch, answer: Any, times: int = 1) -> list[Any]:
    """What a trigger of the task `t` of the run `r1` makes of this answer of its supervisor."""

    def answered(**_: Any) -> Any:
        return answer

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(answered))
    trigger = TriggerOfATask()
    trigger.trigger_id = 9

    async def poll() -> list[Any]:
        return [await trigger._task_state() for _ in range(times)]

    return asyncio.run(poll())


@pytest.mark.parametrize("state", ["deferred", None])
def test_an_answer_about_the_own_task_leaves_no_receipt(
    monkeypatch: pytest.MonkeyPatch, shared: Path, state: str | None
) -> None:
    assert ask(monkeypatch, {"r1": {"t": state}}) == [state]
    assert misrouted(shared) == []


@pytest.mark.parametrize("answer", [{"r2": {"t": "deferred"}}, {"r1": {"other": "deferred"}}, {}])
def test_an_answer_about_another_task_leaves_a_receipt(
    monkeypatch: pytest.MonkeyPatch, shared: Path, answer: dict[str, Any]
) -> None:
    assert ask(monkeypatch, answer) == [None]
    (receipt,) = misrouted(shared)
    assert (receipt["trigger"], receipt["expected"], receipt["got"]) == (9, "r1 t", str(answer))


def test_an_answer_of_another_type_leaves_a_receipt_and_ends_the_trigger(
    monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    with pytest.raises(AttributeError):
        ask(monkeypatch, 17)
    assert len(misrouted(shared)) == 1


def test_a_trigger_leaves_few_receipts_however_often_it_polls(monkeypatch: pytest.MonkeyPatch, shared: Path) -> None:
    ask(monkeypatch, {}, times=20)
    assert len(misrouted(shared)) == triggers.MOST_MISROUTED
