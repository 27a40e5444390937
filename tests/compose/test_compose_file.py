"""What docker-compose.yml promises, as Compose itself reads it."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

from stress.cluster.compose.engine import ONE_RUN_LABEL, PROJECT_LABEL
from stress.components import COMPONENTS
from stress.layout import ROOT

NAME = "some-project"
BUILT = "airflow-stress/stress:local"
JOBS = {"secrets", "database", "migrate"}


@pytest.fixture(scope="module")
def file() -> dict[str, Any]:
    command = ["docker", "compose", "--project-name", NAME, "--project-directory", str(ROOT), "--profile", "*"]
    done = subprocess.run([*command, "config", "--format", "json"], capture_output=True, text=True, check=True)
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_it_has_the_cluster_and_what_looks_at_it(file: dict[str, Any]) -> None:
    assert set(file["services"]) == {
        *COMPONENTS,
        *JOBS,
        *("postgres", "stress", "locust", "prometheus", "grafana"),
    }


def test_everything_carries_the_projects_label(file: dict[str, Any]) -> None:
    for kind in ("services", "volumes", "networks"):
        for name, thing in file[kind].items():
            assert thing["labels"] == {PROJECT_LABEL: NAME, ONE_RUN_LABEL: ""}, f"{kind} {name}"


def test_ports_are_published_on_the_loopback_only(file: dict[str, Any]) -> None:
    published = [port for service in file["services"].values() for port in service.get("ports", ())]
    assert len(published) == 4
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_one_service_builds_the_projects_image_and_the_others_wait_for_it(file: dict[str, Any]) -> None:
    """Several builds of one tag at once make an engine's image store fail where the tag is new."""
    users = {name for name, service in file["services"].items() if service["image"] == BUILT}
    assert {name for name in users if "build" in file["services"][name]} == {"secrets"}
    for name in users - {"secrets"}:
        assert file["services"][name]["pull_policy"] == "never"
        assert waits_for(file, name, "secrets"), name


def waits_for(file: dict[str, Any], name: str, other: str) -> bool:
    needs = file["services"][name].get("depends_on") or {}
    return other in needs or any(waits_for(file, need, other) for need in needs)


def test_each_release_has_a_database_of_its_own(file: dict[str, Any]) -> None:
    services = file["services"]
    (name,) = services["database"]["command"]
    release = services["migrate"]["image"].rpartition(":")[2]
    assert name == f"airflow_{release}"
    for service in (*COMPONENTS, "migrate"):
        assert services[service]["environment"]["AIRFLOW_STRESS_DATABASE"] == name
    assert services["migrate"]["depends_on"]["database"]["condition"] == "service_completed_successfully"


def test_pages_are_published_on_the_first_free_port_of_a_range(file: dict[str, Any]) -> None:
    """So that a second project runs beside the first."""
    for name in ("prometheus", "grafana", "locust"):
        (port,) = file["services"][name]["ports"]
        first, _, last = port["published"].partition("-")
        assert int(last) - int(first) == 9


def test_images_have_pinned_tags(file: dict[str, Any]) -> None:
    for name, service in file["services"].items():
        if service["image"] != BUILT:
            assert re.fullmatch(r"[a-z/]+:v?\d+(\.\d+)+", service["image"]), name


def test_secrets_are_files_of_the_project_and_never_values_of_the_file(file: dict[str, Any]) -> None:
    secret = re.compile(r"password|secret|fernet|sql_alchemy_conn(?!ect)", re.IGNORECASE)
    found = 0
    for name, service in file["services"].items():
        for variable, value in (service.get("environment") or {}).items():
            if secret.search(variable):
                found += 1
                assert variable.upper().endswith(("_CMD", "_FILE", "__FILE")), f"{name}: {variable}"
                assert "/run/airflow-stress/" in value, f"{name}: {variable}"
    assert found == (len(COMPONENTS) + 1) * 4 + 2  # four for each Airflow, PostgreSQL's and Grafana's


def test_only_the_harness_is_root_since_it_has_the_engines_socket(file: dict[str, Any]) -> None:
    for name, service in file["services"].items():
        has_socket = any("docker.sock" in volume["target"] for volume in service.get("volumes", ()))
        assert has_socket == (name == "stress"), name
        # Prometheus's and Grafana's images name an unprivileged user themselves.
        if name not in ("stress", "prometheus", "grafana"):
            assert service["user"].split(":")[0] not in ("", "0", "root"), name


def test_what_serves_has_a_health_check_and_comes_back_and_what_depends_waits_for_health(file: dict[str, Any]) -> None:
    services = file["services"]
    for name in (*COMPONENTS, "postgres"):
        assert services[name]["healthcheck"]["test"], name
        assert services[name]["restart"] == "unless-stopped", name
    for name in JOBS - {"secrets", "database"}:
        assert services[name]["restart"] == "no"
    for name in COMPONENTS:
        assert services["stress"]["depends_on"][name]["condition"] == "service_healthy"
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_dags_and_fixes_are_mounted_read_only_where_the_harness_names_them(file: dict[str, Any]) -> None:
    for name in (*COMPONENTS, "stress"):
        mounts = {volume["target"]: volume for volume in file["services"][name]["volumes"]}
        for folder in ("dags", "fixes"):
            mount = mounts[f"/airflow-stress/{folder}"]
            assert (mount["source"], mount["read_only"]) == (str(ROOT / folder), True), name
