"""The hollow worker executor: drives scheduler, api-server and database as workers would, without running tasks.

A real task costs about a second of CPU, so two cores never reach the rates at which races show. This executor hands
each workload's identity and token to one worker process (`hollow_worker.py`, no Airflow inside), which plays the task's
part over the Execution API and tells how it ended. Everything on the server's side is real: the routes, their
transactions, the scheduler's handling of executor events.

Mounted on PYTHONPATH and named in `core.executor`; imports nothing of the harness.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.executors.base_executor import BaseExecutor
from airflow_stress_loops import record_loops


class HollowExecutor(BaseExecutor):
    """Hands workloads to the worker process and reports their ends to the scheduler."""

    is_local = False
    supports_callbacks = True
    serve_logs = False

    def start(self) -> None:
        """Start the worker process; it ends by itself when its standard input is closed, however we die.

        The scheduler calls this once, before its loop: from here on the passes of the loop are recorded, too.
        """
        record_loops()
        self._ended: deque[tuple[str, bool]] = deque()
        self._keys: dict[str, Any] = {}
        environment = {k: v for k, v in os.environ.items() if k != "AIRFLOW_STRESS_FIXES"}
        self._worker = subprocess.Popen(
            [sys.executable, "-S", str(Path(__file__).with_name("hollow_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **environment,
                "PYTHONPATH": "",
                "AIRFLOW_STRESS_EXECUTION_API": conf.get("core", "execution_api_server_url"),
            },
            bufsize=0,
        )
        threading.Thread(target=self._read_ends, name="hollow-ends", daemon=True).start()

    def _read_ends(self) -> None:
        assert self._worker.stdout is not None
        for line in self._worker.stdout:
            end = json.loads(line)
            self._ended.append((end["id"], end["ok"]))

    def _process_workloads(self, workloads: Any) -> None:
        assert self._worker.stdin is not None
        lines = []
        for workload in workloads:
            if hasattr(workload, "callback"):
                self._run_callback(workload)
                continue
            ti = workload.ti
            # One task instance id can come back while its last try still ends (a deferral that resumes at once).
            work_id = f"{ti.id}/{ti.try_number}/{len(self._keys)}"
            self._keys[work_id] = ti.key
            del self.queued_tasks[ti.key]
            self.running.add(ti.key)
            hollow = (ti.executor_config or {}).get("hollow", {})
            work = {
                "id": work_id,
                "ti": str(ti.id),
                "try": ti.try_number,
                "owner": {"dag": ti.dag_id, "run": ti.run_id, "task": ti.task_id},
                "token": workload.token,
                "hollow": hollow,
            }
            lines.append(json.dumps(work))
        self._worker.stdin.write("".join(f"{line}\n" for line in lines).encode())

    def _run_callback(self, workload: Any) -> None:
        """Leave the receipt that the callback would leave, and call it a success."""
        from airflow.utils.state import CallbackState

        from airflow_stress_dags.receipts import leave

        del self.queued_callbacks[workload.key]
        self.running.add(workload.key)
        deadline = workload.callback.data["kwargs"]["context"]["deadline"]["id"]
        leave("callbacks", deadline=str(deadline), trigger=None)
        self.change_state(workload.key, CallbackState.SUCCESS)

    def sync(self) -> None:
        """Report the ends that arrived since the last heartbeat; a dead worker is a dead scheduler, loudly."""
        if self._worker.poll() is not None:
            raise RuntimeError(f"the hollow worker process died with code {self._worker.returncode}")
        while self._ended:
            work_id, ok = self._ended.popleft()
            key = self._keys.pop(work_id)
            if ok:
                self.success(key)
            else:
                self.fail(key)

    def end(self) -> None:
        """Close the worker's input, which ends it."""
        if self._worker.stdin is not None:
            self._worker.stdin.close()
        self._worker.wait(timeout=10)

    def terminate(self) -> None:
        """End the worker at once."""
        self._worker.kill()
