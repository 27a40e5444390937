"""`stress run --runtime compose` with a diff as an arm, ended by a signal: the components run the diff's code, the run
is kept, and nothing of its project is left.
"""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from stress.cluster.compose.engine import ONE_RUN_LABEL, RUN_LABEL, SERVICE_LABEL
from stress.layout import ROOT
from tests.timing import wait_for

pytestmark = pytest.mark.timeout(420)


def left(engine: docker.DockerClient, run_id: str) -> list[str]:
    """What the engine has of the run's project."""
    label: dict[str, str | list[str] | bool] = {"label": f"{ONE_RUN_LABEL}={run_id}"}
    return [
        *(str(container.name) for container in engine.containers.list(all=True, filters=label)),
        *(str(volume.name) for volume in engine.volumes.list(filters=label)),
        *(str(network.name) for network in engine.networks.list(filters=label)),
    ]


DIFF = """\
diff --git a/airflow-core/src/airflow/changed.py b/airflow-core/src/airflow/changed.py
new file mode 100644
--- /dev/null
+++ b/airflow-core/src/airflow/changed.py
@@ -0,0 +1 @@
+HERE = "the diff"
"""
"""Code that the image lacks."""


def scheduler(engine: docker.DockerClient, run_id: str) -> Container | None:
    """A block's running scheduler."""
    labels: dict[str, str | list[str] | bool] = {"label": [f"{RUN_LABEL}={run_id}", f"{SERVICE_LABEL}=scheduler-1"]}
    return next(iter(engine.containers.list(filters=labels)), None)


def test_a_signal_while_a_cluster_starts_leaves_nothing_of_the_project(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    directory, output = tmp_path / "run", tmp_path / "output"
    patch = tmp_path / "mine.diff"
    patch.write_text(DIFF)
    words = ["run", "--runtime", "compose", "--budget", "60s", "--no-tui", "--out", str(directory)]
    # Both arms have the code: either may be the first.
    words += ["--arm", f"stock=diff:{patch}", "--arm", f"mine=diff:{patch},fixes:all"]
    with (
        output.open("wb") as file,
        subprocess.Popen([sys.executable, "-m", "stress", *words], cwd=ROOT, stdout=file, stderr=file) as process,
    ):
        wait_for(lambda: "starting the cluster" in output.read_text(), 180, "the first block")
        run_id = json.loads((directory / "manifest.json").read_text())["run_id"]
        assert left(engine, run_id) != []
        wait_for(lambda: scheduler(engine, run_id) is not None, 60, "a scheduler")
        running = scheduler(engine, run_id)
        assert running is not None
        code, printed = running.exec_run(["python", "-c", "import airflow.changed; print(airflow.changed.HERE)"])
        assert (code, printed) == (0, b"the diff\n")
        assert running.exec_run(["touch", "/airflow-stress/overlays/x"])[0] != 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 128 + signal.SIGTERM
    assert left(engine, run_id) == []
    manifest = json.loads((directory / "manifest.json").read_text())
    assert (manifest["state"], manifest["ended_at"] is not None) == ("interrupted", True)
    digest = hashlib.sha256(patch.read_bytes()).hexdigest()[:12]
    assert {(arm["code"]["kind"], arm["code"]["digest"]) for arm in manifest["arms"]} == {("diff", digest)}
