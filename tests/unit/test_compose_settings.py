"""docker-compose.yml has the components and the settings of PostgreSQL and Airflow that the modules state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stress import layout
from stress.arms.releases import check
from stress.arms.spec import parse_arm
from stress.cluster.airflow import BLOCK_CONFIG, component_variables, config_variable
from stress.cluster.base import ClusterSettings
from stress.cluster.compose.cluster import API_URL, POSTGRES_LOG, SHARED
from stress.cluster.compose.service import MIGRATE, POSTGRES
from stress.cluster.postgres_settings import server_settings
from stress.components import COMPONENTS

CONTAINER = "/airflow-stress"
"""Where the project is in a container."""

SERVICES: dict[str, dict[str, Any]] = YAML(typ="safe").load(layout.ROOT / "docker-compose.yml")["services"]

ONLY_IN_THE_FILE = {
    "CONNECTION_CHECK_MAX_COUNT",  # of the image's entrypoint
    "AIRFLOW_STRESS_DATABASE",  # the database of the stock cluster
    "PGAPPNAME",  # the address of the database has no application name
    "PYTHONDONTWRITEBYTECODE",  # the mounts are read only
    "AIRFLOW__CORE__PARALLELISM",  # of a cluster without load
}


def expected(component: str) -> dict[str, str]:
    """A component's variables on an arm without fixes, with paths as they are in a container."""
    settings = ClusterSettings(dags_folder=layout.DAGS)
    arm = parse_arm("stock=fixes:none", check("3.2.1"))
    variables = component_variables(settings, arm, component, API_URL, SHARED, defaults={})
    return {name: value.replace(str(layout.ROOT), CONTAINER) for name, value in variables.items()}


def test_each_component_is_a_service_and_no_other_service_is_one() -> None:
    of_airflow = {name for name, service in SERVICES.items() if "AIRFLOW__CORE__EXECUTOR" in _environment(service)}
    assert of_airflow == {*COMPONENTS, MIGRATE}
    assert set(COMPONENTS) <= set(SERVICES["stress"]["depends_on"])


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_has_its_command_and_its_name_everywhere(name: str) -> None:
    service = SERVICES[name]
    assert service["command"].split() == list(COMPONENTS[name].command)
    assert service["hostname"] == name
    assert _environment(service)["AIRFLOW_STRESS_COMPONENT"] == name
    assert _environment(service)["PGAPPNAME"] == name


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_has_the_variables_of_every_component(name: str) -> None:
    own = {
        variable: value
        for variable, value in _environment(SERVICES[name]).items()
        if variable not in ONLY_IN_THE_FILE and not variable.endswith("_CMD")
    }
    assert {variable: expected(name).get(variable) for variable in own} == own


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_lacks_only_the_configuration_of_blocks(name: str) -> None:
    in_a_block = {variable for variable in expected(name) if variable.startswith("AIRFLOW__")}
    # The stock cluster's pages are opened at the port that the engine publishes, which no setting can name.
    of_blocks = {config_variable(option) for option in (*BLOCK_CONFIG, "api.base_url")}
    assert in_a_block - set(_environment(SERVICES[name])) == of_blocks


def test_postgresql_has_the_settings_of_every_runtime() -> None:
    program, *options = SERVICES[POSTGRES]["command"]
    given = dict(option.removeprefix("-c").split("=", 1) for option in options)
    # The image chooses the language of the messages and the addresses; the embedded server's paths are its own.
    assert (program, Path(given.pop("log_directory")), given.pop("lc_messages")) == ("postgres", POSTGRES_LOG, "C")
    assert given == server_settings()


def _environment(service: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = service.get("environment", {})
    return found
