"""The deadline callback: an alert that leaves a receipt, so that one execution too many can be counted."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

from airflow_stress_dags.receipts import leave

# How long the other side takes to answer the alert: what a chat or mail service does.
ANSWER_S = 1.5

_TRIGGER_ID = re.compile(r"\bID (\d+)")


def sync_alert(**kwargs: Any) -> str:
    """The same for an executor, which gives no trigger: send the alert and wait for its answer."""
    deadline = (kwargs.get("context") or {}).get("deadline") or {}
    leave("callbacks", deadline=str(deadline.get("id")), trigger=None)
    time.sleep(ANSWER_S)
    return "alerted"


async def alert(**kwargs: Any) -> str:
    """Send the alert (the receipt) and wait for its answer.

    The receipt has the deadline's id and the id of the trigger that ran this callback. Airflow hands the deadline over
    in the keyword `context`; the trigger's id is in the name that the trigger runner gives to the trigger's task.
    """
    deadline = (kwargs.get("context") or {}).get("deadline") or {}
    task = asyncio.current_task()
    match = _TRIGGER_ID.search(task.get_name()) if task else None
    leave("callbacks", deadline=str(deadline.get("id")), trigger=int(match[1]) if match else None)
    await asyncio.sleep(ANSWER_S)
    return "alerted"
