"""The hollow worker process for the DAGs beside: it can fail, have outlets, and defer with a time-out.

Its one argument is the directory of the harness's own hollow worker: connections, records and the reading of work are
that one's.
"""

import asyncio
import json
import random
import sys
import time
from typing import Any

sys.path.insert(0, sys.argv[1])

import hollow_worker

PERIOD_S = 4.0
SPREAD_S = 0.1
"""Tasks that end together do so within this time."""
TRIGGER_LEAD_S = 2.0
"""What a triggerer needs at most to find a new trigger."""
AROUND_TIMEOUT_S = 1.0
"""A trigger fires this long after its time-out is due at most; the schedulers sweep every second."""
IDLE_S = 3600.0


def next_moment(second: float, lead: float) -> float:
    """Until when (Unix time) to wait for this second of a period, with a random part of the spread."""
    earliest = time.time() + lead
    return earliest + (second - earliest) % PERIOD_S + random.uniform(0.0, SPREAD_S)  # noqa: S311 - no secret


class Worker(hollow_worker.Worker):
    """Plays one task by its plan."""

    async def play(self, work: dict[str, Any]) -> bool:
        ti, plan = work["ti"], work["hollow"]
        body = {"state": "running", "start_date": hollow_worker.now(), **self.identity}
        code, content = await self.call("run", "PATCH", f"/task-instances/{ti}/run", work, body)
        if code != 200:
            return False
        if ("fires_at" in plan or "idle" in plan) and not json.loads(content).get("next_method"):
            return await self._report(work, "defer", self._deferral(plan))
        await asyncio.sleep(next_moment(plan["at"], 0.05) - time.time() if "at" in plan else plan.get("seconds", 0.0))
        end = plan.get("end", "success")
        state: dict[str, object] = {"state": end, "end_date": hollow_worker.now()}
        if end == "success":
            state |= {"task_outlets": plan.get("outlets", []), "outlet_events": []}
        return await self._report(work, end, state) and end == "success"

    async def _report(self, work: dict[str, Any], operation: str, state: dict[str, object]) -> bool:
        path = f"/task-instances/{work['ti']}/state"
        code, _ = await self.call(operation, "PATCH", path, work, state, ti=work["ti"], reported=state["state"])
        return code in (200, 204)

    @staticmethod
    def _deferral(plan: dict[str, Any]) -> dict[str, object]:
        moment = time.time() + IDLE_S if "idle" in plan else next_moment(plan["fires_at"], TRIGGER_LEAD_S)
        state: dict[str, object] = {
            "state": "deferred",
            "classpath": "findings_parts.FireAt",
            "trigger_kwargs": {"moment": moment},
            "next_method": "execute_complete",
            "next_kwargs": {},
        }
        if plan.get("times_out"):
            due = moment - random.uniform(0.0, AROUND_TIMEOUT_S)  # noqa: S311 - no secret
            state["trigger_timeout"] = due - time.time()
        return state


if __name__ == "__main__":
    hollow_worker.Worker = Worker  # type: ignore[misc]  # the one that its `main` makes
    asyncio.run(hollow_worker.main())
