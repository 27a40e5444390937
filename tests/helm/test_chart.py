"""Airflow's official chart, rendered by Helm with `deploy/helm/fixes-values.yaml`."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.helm.rendering import (
    COMPONENTS,
    RECORD,
    VALUES,
    HelmFailed,
    added,
    environment,
    main_container,
    pods,
    record,
    render,
    without_fixes,
)

EXECUTORS = {
    "CeleryExecutor": COMPONENTS,
    "LocalExecutor": tuple(name for name in COMPONENTS if name != "worker"),
    "KubernetesExecutor": COMPONENTS,
}
"""Each executor and the components that it has pods of. A worker of the last one is the pod of a task."""

each_executor = pytest.mark.parametrize("executor", EXECUTORS)


@pytest.fixture(scope="module")
def rendered() -> dict[str, Any]:
    """The manifests of each executor, without and with the fixes' values."""
    return {
        name: (render(settings={"executor": name}), render(VALUES, settings={"executor": name})) for name in EXECUTORS
    }


@each_executor
def test_each_component_gets_the_mount_and_the_variables(rendered: dict[str, Any], executor: str) -> None:
    found = pods(rendered[executor][1])
    for name in EXECUTORS[executor]:
        container, wanted = main_container(name, found[name]), added(name)
        assert environment(container).items() >= {one["name"]: one["value"] for one in wanted["env"]}.items(), name
        assert environment(container)["AIRFLOW_STRESS_COMPONENT"] == name
        (mount,) = [one for one in container["volumeMounts"] if one["name"] == "stress-fixes"]
        assert mount["readOnly"] is True
        assert environment(container)["PYTHONPATH"].startswith(f"{mount['mountPath']}/")
        (volume,) = [one for one in found[name]["volumes"] if one["name"] == "stress-fixes"]
        assert volume == {"name": "stress-fixes", "configMap": {"name": "stress-fixes"}}


@each_executor
def test_nothing_else_changes(rendered: dict[str, Any], executor: str) -> None:
    """But for the checksum of a ConfigMap that holds the pods' template: it restarts the pods, as a change should."""
    stock, fixed = rendered[executor]
    everything = {key: [one for name in COMPONENTS for one in added(name)[key]] for key in added("scheduler")}
    assert changed_lines(stock, without_fixes(fixed, everything)) == []
    assert changed_lines(stock, fixed)


def changed_lines(stock: list[dict[str, Any]], fixed: list[dict[str, Any]]) -> list[str]:
    """The lines that differ: pytest takes minutes to compare manifests as objects."""
    before, after = (json.dumps(comparable(each), indent=1, sort_keys=True).splitlines() for each in (stock, fixed))
    return [line for line in difflib.unified_diff(before, after, n=0, lineterm="") if not line.startswith("@@")][:20]


def comparable(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Manifests without the checksum of that ConfigMap."""
    copied: list[dict[str, Any]] = json.loads(json.dumps(manifests))
    for manifest in copied:
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            manifest["spec"]["template"]["metadata"].get("annotations", {}).pop("checksum/airflow-config", None)
    return copied


@each_executor
def test_no_other_pod_gets_the_variables(rendered: dict[str, Any], executor: str) -> None:
    for name, pod in pods(rendered[executor][1]).items():
        if name not in COMPONENTS:
            assert "stress-fixes" not in json.dumps(pod), name


def test_a_list_of_the_user_s_replaces_ours(tmp_path: Path) -> None:
    """docs/hotfix.md warns of it: Helm does not merge lists."""
    own = tmp_path / "own.yaml"
    own.write_text("scheduler: {env: [{name: A, value: b}]}\n")
    found = environment(main_container("scheduler", pods(render(VALUES, own))["scheduler"]))
    assert found["A"] == "b"
    assert "AIRFLOW_STRESS_FIXES" not in found


def test_a_name_that_the_chart_lacks_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(VALUES.read_text().replace("extraVolumeMounts: *mounts", "extraVolumeMount: *mounts"))
    with pytest.raises(HelmFailed, match="extraVolumeMount"):
        render(wrong)


def test_the_record_is_what_the_chart_renders(rendered: dict[str, Any]) -> None:
    assert record(rendered["CeleryExecutor"][1]) == json.loads(RECORD.read_text()), (
        "write it anew: python -m tests.helm.rendering"
    )
