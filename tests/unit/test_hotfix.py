"""docs/hotfix.md: what it says to mount is a mount that works, and every form of it has the same variables."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from ruamel.yaml import YAML

from stress.arms.fixes import facts  # makes `airflow_stress_fixes` importable
from stress.layout import ROOT
from tests.helm.rendering import RECORD, VALUES, added, digest

from airflow_stress_fixes import status  # isort: skip

PAGE = (ROOT / "docs" / "hotfix.md").read_text()
MAX_CONFIGMAP_BYTES = 1 << 20
TIMEOUT_S = 60
COMPONENTS = {"scheduler", "triggerer", "api-server", "dag-processor", "worker"}


def block(language: str) -> str:
    """The text of the page's one block of code in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def archive(directory: Path) -> Path:
    """The one file of the ConfigMap that the page's commands make."""
    (line,) = re.findall(r"^python -m zipfile .*$", PAGE, re.MULTILINE)
    _, *words = shlex.split(line)
    name, *sources = words[words.index("--create") + 1 :]
    made = [*words[:3], str(directory / name), *(str(ROOT / source) for source in sources)]
    subprocess.run([sys.executable, *made], check=True, timeout=TIMEOUT_S)
    (line,) = re.findall(r"^kubectl create configmap .*$", PAGE, re.MULTILINE)
    assert shlex.split(line)[-1] == f"--from-file={name}"
    return directory / name


def variables(component: str) -> dict[str, str]:
    """The variables of a component in the Helm values."""
    return {one["name"]: one["value"] for one in added(component)["env"]}


def test_the_config_map_fits_and_lacks_no_file(tmp_path: Path) -> None:
    made = archive(tmp_path)
    assert made.stat().st_size < MAX_CONFIGMAP_BYTES
    fixes = ROOT / "fixes"
    wanted = {str(file.relative_to(fixes)) for file in fixes.rglob("*.py")}
    with zipfile.ZipFile(made) as packed:
        assert {name for name in packed.namelist() if name.endswith(".py")} == wanted


def test_a_process_with_the_mount_has_its_fixes_and_leaves_no_file_behind(tmp_path: Path) -> None:
    """The mount is laid out as a container has it, and an interpreter is started there."""
    (mount,) = added("scheduler")["volumeMounts"]
    target = tmp_path / PurePosixPath(mount["mountPath"]).relative_to("/")
    target.mkdir(parents=True)
    archive(target)
    environment = {**os.environ, **variables("scheduler")}
    for name in ("PYTHONPATH", "AIRFLOW_STRESS_FIX_STATUS_DIR"):
        environment[name] = str(tmp_path / PurePosixPath(environment[name]).relative_to("/"))
    directory = Path(environment["AIRFLOW_STRESS_FIX_STATUS_DIR"])
    code = "import os, pathlib; print(pathlib.Path(os.environ['AIRFLOW_STRESS_FIX_STATUS_DIR'], "
    code += "f'scheduler-{os.getpid()}.jsonl').read_text())"
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    assert process.stderr == ""
    assert process.stdout.count('"armed"') == sum(not fix.proposed for fix in facts())
    assert list(directory.iterdir()) == []


def test_the_values_name_every_component_and_all_give_the_same() -> None:
    assert {variables(name)["AIRFLOW_STRESS_COMPONENT"] for name in COMPONENTS} == COMPONENTS
    common = [{k: v for k, v in variables(name).items() if k != "AIRFLOW_STRESS_COMPONENT"} for name in COMPONENTS]
    assert all(each == common[0] for each in common)
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE)) == set(variables("scheduler"))


def test_the_rendered_record_is_of_these_values() -> None:
    """Without the chart, this shows that a change of the values was rendered; `make helm` shows what came of it."""
    assert json.loads(RECORD.read_text())["values_sha256"] == digest(VALUES), (
        "the values changed: python -m tests.helm.rendering writes the record anew"
    )


def test_compose_and_systemd_have_the_variables_of_the_values() -> None:
    services: dict[str, Any] = YAML(typ="safe").load(block("yaml"))["services"]
    names = {service["environment"]["AIRFLOW_STRESS_COMPONENT"]: service for service in services.values()}
    assert set(names) == COMPONENTS
    for service in services.values():
        assert set(service["environment"]) == set(variables("scheduler"))
        (mount,) = service["volumes"]
        assert mount == f"./fixes:{service['environment']['PYTHONPATH']}:ro"
    lines = re.findall(r"^Environment=(\w+)=(.*)$", block("ini"), re.MULTILINE)
    assert {name for name, _ in lines} == set(variables("scheduler"))


def test_the_image_has_the_fixes_where_its_variable_says() -> None:
    copied = re.search(r"^COPY .* fixes (\S+)$", block("dockerfile"), re.MULTILINE)
    path = re.search(r"^ENV PYTHONPATH=(\S+)", block("dockerfile"), re.MULTILINE)
    assert copied is not None
    assert path is not None
    assert copied[1] == path[1]


# -- the command of section 3 ----------------------------------------------------------------------------------------


def report(directory: Path, component: str, pid: int, *lines: tuple[str, str]) -> None:
    with (directory / f"{component}-{pid}.jsonl").open("a") as file:
        for fix, word in lines:
            file.write(json.dumps({"fix": fix, "status": word, "detail": f"{word} because"}) + "\n")


@pytest.fixture
def other() -> int:
    """A living process that is not this one."""
    return os.getppid()


def test_a_fix_that_no_process_has_imported_waits_where_it_must_load(tmp_path: Path, other: int) -> None:
    report(tmp_path, "scheduler", other, ("deadline_claim", "armed"), ("triggerer_comms", "armed"))
    assert [(line.fix, line.status) for line in status.read(tmp_path)] == [("deadline_claim", "waiting")]


def test_one_process_that_has_the_fix_answers_for_probes_that_do_not(tmp_path: Path, other: int) -> None:
    report(tmp_path, "scheduler", 1, ("deadline_claim", "armed"))
    report(tmp_path, "scheduler-2", other, ("deadline_claim", "armed"), ("deadline_claim", "loaded"))
    (line,) = status.read(tmp_path)
    assert (line.component, line.status, line.processes) == ("scheduler", "loaded", 1)


def test_a_refusal_is_shown_with_its_reason_even_if_another_process_loaded_the_fix(tmp_path: Path, other: int) -> None:
    report(tmp_path, "scheduler", 1, ("deadline_claim", "loaded"))
    report(tmp_path, "scheduler", other, ("deadline_claim", "refused"))
    lines = status.read(tmp_path)
    assert [line.status for line in lines] == ["loaded", "refused"]
    assert "    refused because" in status.table(lines).splitlines()
    assert 'status="refused"} 1' in status.metrics(lines)
    assert 'status="error"} 0' in status.metrics(lines)


def test_an_ended_process_is_left_out_and_its_file_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(TIMEOUT_S)
    report(tmp_path, "scheduler", ended.pid, ("deadline_claim", "loaded"))
    assert status.read(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("word", "code"), [("loaded", 0), ("not_needed", 0), ("refused", 1), ("error", 1), ("armed", 1), ("", 1)]
)
def test_the_exit_code(tmp_path: Path, other: int, monkeypatch: pytest.MonkeyPatch, word: str, code: int) -> None:
    monkeypatch.setenv("AIRFLOW_STRESS_FIX_STATUS_DIR", str(tmp_path))
    if word:
        report(tmp_path, "scheduler", other, ("deadline_claim", word))
    assert status.main([]) == code
    assert status.main(["--metrics"]) == code


def test_bad_arguments_are_64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_STRESS_FIX_STATUS_DIR", raising=False)
    assert status.main([]) == 64
    monkeypatch.setenv("AIRFLOW_STRESS_FIX_STATUS_DIR", str(tmp_path))
    assert status.main(["--nonsense"]) == 64
