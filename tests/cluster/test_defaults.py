"""The script that reads an arm's defaults, run by the Python of each release that has a committed lock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stress.arms.environments import environment_for
from stress.arms.releases import check
from stress.cluster import differences


@pytest.mark.parametrize("release", ["3.1.8", "3.2.1", "3.3.2"])
def test_the_defaults_of_a_release_are_read_without_importing_it(release: str, tmp_path: Path) -> None:
    environment = environment_for(check(release))
    home = tmp_path / "home"
    printed = differences.printed_by(
        [str(environment.python), str(differences.DEFAULTS_SCRIPT)], {"AIRFLOW_HOME": str(home)}
    )
    found = json.loads(printed)
    assert found["core.parallelism"] == ["32", False]
    assert found["core.fernet_key"][1] is True
    assert len(found) > 200
    assert not home.exists(), "importing Airflow makes its home"
