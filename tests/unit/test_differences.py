"""The settings that differ from the defaults: which are listed, and what is never shown of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

import pytest

from stress.arms.releases import DEFAULT_RELEASE, check
from stress.arms.spec import parse_arm
from stress.cluster import differences
from stress.cluster.differences import Configured, airflow
from stress.results import SettingDifference

DEFAULTS = {
    "core.parallelism": ["32", False],
    "core.fernet_key": ["{FERNET_KEY}", True],
    "core.dags_folder": ["{AIRFLOW_HOME}/dags", False],
    "core.load_examples": ["True", False],
    "api.base_url": [None, False],
}
SYSTEM = f"Airflow {DEFAULT_RELEASE}"


def configured(name: str, **variables: str) -> Configured:
    return Configured(parse_arm(f"{name}=fixes:none", check(DEFAULT_RELEASE)), variables)


def listed(*arms: Configured) -> Mapping[str, SettingDifference]:
    return {found.name: found for found in airflow(arms, lambda _: json.dumps(DEFAULTS))}


def test_an_option_is_listed_with_its_default_only_if_it_differs() -> None:
    found = listed(configured("a", AIRFLOW__CORE__PARALLELISM="64", AIRFLOW__CORE__LOAD_EXAMPLES="true", PATH="/bin"))
    assert found == {"core.parallelism": SettingDifference(SYSTEM, "core.parallelism", "64", "32")}


def test_an_option_that_differs_between_arms_says_so() -> None:
    found = listed(configured("a"), configured("b", AIRFLOW__CORE__PARALLELISM="64"))
    assert found["core.parallelism"].value == "a: 32; b: 64"


def test_no_secret_no_path_and_no_port_gets_into_a_report() -> None:
    found = listed(
        configured(
            "a",
            AIRFLOW__CORE__FERNET_KEY="the key",
            AIRFLOW__CORE__DAGS_FOLDER="/home/somebody/dags",
            AIRFLOW__API__BASE_URL="http://127.0.0.1:40123",
            AIRFLOW__API__SECRET_KEY_CMD="cat /run/secret",
        )
    )
    assert {name: difference.value for name, difference in found.items()} == {
        "core.fernet_key": "(secret)",
        "core.dags_folder": "(a path of this run)",
        "api.base_url": "http://127.0.0.1:(a free port)",
        "api.secret_key": "(secret)",
    }
    assert found["api.secret_key"].default == "(no such option)"


def test_defaults_that_cannot_be_read_are_said_to_be_unread() -> None:
    def fails(_: object) -> str:
        return differences.printed_by([sys.executable, "-c", "raise SystemExit('no yaml here')"], {})

    (found,) = airflow([configured("a", AIRFLOW__CORE__PARALLELISM="64")], fails)
    assert found == SettingDifference(SYSTEM, "(not read)", "no yaml here", "")


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [("100", "ms", "100 ms"), ("16384", "8kB", "16384 x 8kB"), ("off", "", "off"), ("-1", "kB", "-1"), ("", "ms", "")],
)
def test_a_number_has_its_unit(value: str, unit: str, shown: str) -> None:
    assert differences._with_unit(value, unit) == shown
