"""What Airflow's chart makes of values, and what the fixes' values add to it.

`rendered.json` keeps, for each component, the command and the environment of its container as the chart renders them
with `deploy/helm/fixes-values.yaml`: tests that start Airflow with it need no chart. After a change of the values or of
the chart's version, write it anew: `python -m tests.helm.rendering`.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stress.layout import ROOT
from tests.helm.tools import CHART_SHA256, CHART_VERSION, chart, helm

VALUES = ROOT / "deploy" / "helm" / "fixes-values.yaml"
RECORD = Path(__file__).with_name("rendered.json")
COMPONENTS = ("scheduler", "triggerer", "api-server", "dag-processor", "worker")
TIMEOUT_S = 60

Manifest = dict[str, Any]

_TEMPLATE = "pod_template_file.yaml"

_FIXED = {
    "fernetKey": "a",
    "apiSecretKey": "b",
    "jwtSecret": "c",
    "postgresql.auth.password": "d",
    "redis.password": "e",
}
"""Secrets that the chart would draw anew for each rendering, which would hide what the values change."""


class HelmFailed(Exception):  # noqa: N818 - it says what happened
    """`helm template` ended with an error; the message is its output."""


def render(*values: Path, settings: Mapping[str, str] | None = None) -> list[Manifest]:
    """The manifests that the chart renders, as `helm template stress CHART` prints them; the template of a task's pod,
    which is a text in a ConfigMap, is read, too. Raises HelmFailed."""
    words = [word for file in values for word in ("--values", str(file))]
    words += [word for item in {**_FIXED, **(settings or {})}.items() for word in ("--set", "=".join(item))]
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [str(helm()), "template", "stress", str(chart()), *words],
            env={**os.environ, "HOME": home, "HELM_CACHE_HOME": home, "HELM_CONFIG_HOME": home, "HELM_DATA_HOME": home},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0:
        raise HelmFailed(done.stderr)
    manifests = [document for document in YAML(typ="safe").load_all(done.stdout) if document]
    for manifest in manifests:
        if manifest["kind"] == "ConfigMap" and _TEMPLATE in manifest["data"]:
            manifest["data"][_TEMPLATE] = YAML(typ="safe").load(manifest["data"][_TEMPLATE])
    return manifests


def pods(manifests: Sequence[Manifest]) -> dict[str, Manifest]:
    """The pod of each component by its name: those of workloads, and the one that a Kubernetes executor makes."""
    found = {}
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            name = manifest["metadata"].get("labels", {}).get("component", manifest["metadata"]["name"])
            found[name] = manifest["spec"]["template"]["spec"]
        elif manifest["kind"] == "ConfigMap" and _TEMPLATE in manifest["data"]:
            found["worker"] = manifest["data"][_TEMPLATE]["spec"]
    return found


def main_container(component: str, pod: Manifest) -> Manifest:
    """The container that runs the component; Airflow calls the one of a task's pod `base`."""
    return next(one for one in pod["containers"] if one["name"] in (component, "base"))


def environment(container: Manifest) -> dict[str, str]:
    """The variables of a container; `secret:NAME/KEY` for one that comes from a secret."""
    found = {}
    for one in container["env"]:
        secret = one.get("valueFrom", {}).get("secretKeyRef")
        found[one["name"]] = f"secret:{secret['name']}/{secret['key']}" if secret else one["value"]
    return found


def without_fixes(manifests: Sequence[Manifest], added: Mapping[str, Any]) -> list[Manifest]:
    """The manifests without the variables, volumes and mounts of `added`, to compare with those without the values."""
    copied: list[Manifest] = json.loads(json.dumps(manifests))
    for pod in pods(copied).values():
        for container in _containers(pod):
            _drop(container, "env", added["env"])
            _drop(container, "volumeMounts", added["volumeMounts"])
        _drop(pod, "volumes", added["volumes"])
    return copied


def _drop(place: Manifest, key: str, items: Sequence[Any]) -> None:
    if key in place:
        place[key] = [one for one in place[key] if one not in items]


def _containers(pod: Manifest) -> Iterator[Manifest]:
    yield from pod.get("initContainers") or ()
    yield from pod["containers"]


def added(component: str) -> dict[str, list[Any]]:
    """What the values file says to add to a component's pod."""
    name = {"api-server": "apiServer", "dag-processor": "dagProcessor", "worker": "workers"}.get(component, component)
    values = YAML(typ="safe").load(VALUES.read_text())[name]
    return {"env": values["env"], "volumes": values["extraVolumes"], "volumeMounts": values["extraVolumeMounts"]}


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def record(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """What `rendered.json` holds."""
    found = pods(manifests)
    components = {}
    for name in COMPONENTS:
        container = main_container(name, found[name])
        components[name] = {"args": container["args"], "env": environment(container)}
    return {
        "chart": f"airflow-{CHART_VERSION}",
        "chart_sha256": CHART_SHA256,
        "values_sha256": digest(VALUES),
        "components": components,
    }


def main() -> None:
    """Write the record."""
    RECORD.write_text(json.dumps(record(render(VALUES)), indent=2) + "\n")


if __name__ == "__main__":
    main()
