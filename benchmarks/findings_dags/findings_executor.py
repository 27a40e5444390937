"""The hollow executor with the worker beside, which also takes callbacks: it notes each, and calls it done."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

import airflow_stress_hollow
from airflow.configuration import conf
from airflow.utils.state import CallbackState

from airflow_stress_dags.receipts import leave


class FindingsExecutor(airflow_stress_hollow.HollowExecutor):
    """Hands tasks to the worker process; for callbacks leaves receipts."""

    supports_callbacks = True

    def start(self) -> None:
        """As the hollow executor's, with another worker."""
        self._ended: deque[tuple[str, bool]] = deque()
        self._keys: dict[str, Any] = {}
        hollow = Path(airflow_stress_hollow.__file__).parent
        self._worker = subprocess.Popen(
            [sys.executable, "-S", str(Path(__file__).with_name("findings_worker.py")), str(hollow)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": "",
                "AIRFLOW_STRESS_EXECUTION_API": conf.get("core", "execution_api_server_url"),
            },
            bufsize=0,
        )
        threading.Thread(target=self._read_ends, name="hollow-ends", daemon=True).start()

    def _process_workloads(self, workloads: Any) -> None:
        callbacks = [workload for workload in workloads if hasattr(workload, "callback")]
        super()._process_workloads([workload for workload in workloads if not hasattr(workload, "callback")])
        for workload in callbacks:
            key = getattr(workload, "key", workload.callback.id)  # until 3.2 the id itself
            del self.queued_callbacks[key]
            self.running.add(key)
            leave("executor_callbacks", callback=str(workload.callback.id))
            self.change_state(key, CallbackState.SUCCESS)
