"""The operator, the trigger and the callback of the DAGs beside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent


class Played(BaseOperator):
    """A task that only `findings_worker.py` plays, by its plan."""

    def __init__(self, *, plan: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(executor_config={"hollow": plan}, **kwargs)


class FireAt(BaseTrigger):
    """Fires at a moment (Unix time, s)."""

    def __init__(self, moment: float) -> None:
        super().__init__()
        self.moment = moment

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "findings_parts.FireAt", {"moment": self.moment}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(max(0.0, self.moment - time.time()))
        yield TriggerEvent({"moment": self.moment})


def alert(**_: Any) -> None:
    """A synchronous callback; the executor beside notes that it was asked to run it."""
