"""The workflows: by GitHub's schema, and by the rules that no schema knows (most of them actionlint's and zizmor's)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stress.layout import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MOST_MINUTES = 360
"""What a hosted runner gives a job."""

every_workflow = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)

Yaml = dict[str, Any]


def load(file: Path) -> Yaml:
    """As YAML 1.2, in which `on` is a word and not a truth."""
    found: Yaml = YAML(typ="safe", pure=True).load(file)
    return found


def jobs(file: Path) -> dict[str, Yaml]:
    found: dict[str, Yaml] = load(file)["jobs"]
    return found


def steps(file: Path) -> Iterator[Yaml]:
    for job in jobs(file).values():
        yield from job["steps"]


def commands(file: Path) -> list[str]:
    return [step["run"] for step in steps(file) if "run" in step]


def called(command: str, program: str) -> set[str]:
    """The long options that a command gives to a program of ours."""
    calls = re.findall(rf"{re.escape(program)}\b([^\n]*)", command)
    return {option for call in calls for option in re.findall(r"(?<![\w-])--[a-z-]+", call)}


def checked(schema: str, *files: Path) -> subprocess.CompletedProcess[str]:
    """By a schema that comes with the package: nothing is fetched."""
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_workflows_of_the_project_are_there() -> None:
    assert {file.stem for file in FILES} == {"nightly", "tests"}


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_the_workflows_are_what_github_takes(schema: str) -> None:
    done = checked(schema, *FILES)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("timeout-minutes:", "timeout-minute:"), ("runs-on: ubuntu-latest", "runs_on: x"), ("cron: ", "crn: ")],
)
def test_the_schema_finds_a_slip(tmp_path: Path, right: str, wrong: str) -> None:
    [nightly] = (file for file in FILES if file.stem == "nightly")
    broken = tmp_path / "nightly.yml"
    broken.write_text(nightly.read_text().replace(right, wrong, 1))
    assert checked("vendor.github-workflows", broken).returncode != 0


@every_workflow
def test_every_action_is_pinned_to_a_commit_and_says_which_version_that_is(file: Path) -> None:
    used = re.findall(r"\buses: *(.*)", file.read_text())
    assert len(used) == sum("uses" in step for step in steps(file)) > 0
    assert [u for u in used if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", u)] == []


@every_workflow
def test_a_workflow_may_only_read(file: Path) -> None:
    assert load(file)["permissions"] == {"contents": "read"}
    assert [name for name, job in jobs(file).items() if "permissions" in job] == []
    checkouts = [step for step in steps(file) if step.get("uses", "").startswith("actions/checkout@")]
    assert [step for step in checkouts if step["with"]["persist-credentials"] is not False] == []


@every_workflow
def test_only_one_of_a_kind_runs(file: Path) -> None:
    assert load(file)["concurrency"]["group"]


@every_workflow
def test_every_job_ends(file: Path) -> None:
    minutes = {name: job["timeout-minutes"] for name, job in jobs(file).items()}
    assert [name for name, least in minutes.items() if not 0 < least <= MOST_MINUTES] == []


@every_workflow
def test_nothing_is_put_into_a_command_s_text(file: Path) -> None:
    assert [command for command in commands(file) if "${{" in command] == []


@every_workflow
def test_every_command_is_bash(file: Path) -> None:
    assert commands(file)
    for command in commands(file):
        done = subprocess.run(["bash", "-n"], input=command, capture_output=True, text=True, check=False)  # noqa: S607
        assert done.returncode == 0, done.stderr


@every_workflow
def test_every_variable_that_is_set_is_used(file: Path) -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    for job in jobs(file).values():
        text = "\n".join(step.get("run", "") for step in job["steps"])
        for name in job.get("env", {}):
            assert re.search(rf"\$\{{?{name}\b", text + compose), f"nobody reads {name}"


@every_workflow
def test_every_input_is_declared_and_used(file: Path) -> None:
    declared = set((load(file)["on"].get("workflow_dispatch") or {}).get("inputs", {}))
    assert set(re.findall(r"\binputs\.(\w+)", file.read_text())) == declared


@every_workflow
def test_an_upload_happens_always_and_is_never_empty(file: Path) -> None:
    uploads = [step for step in steps(file) if step.get("uses", "").startswith("actions/upload-artifact@")]
    assert [u for u in uploads if u.get("if") != "always()" or u["with"]["if-no-files-found"] != "error"] == []
    names = [step["with"]["name"] for step in uploads]
    assert sorted(names) == sorted(set(names))


@every_workflow
def test_what_is_run_is_there(file: Path) -> None:
    text = "\n".join(commands(file))
    scripts = set(re.findall(r"(?<!\S)\.ci/[\w-]+", text))
    assert [script for script in scripts if not os.access(ROOT / script, os.X_OK)] == []
    targets = set(re.findall(r"^make ([\w-]+)", text, re.MULTILINE))
    made = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets - made == set()


@pytest.mark.parametrize("program", [".ci/nightly", ".ci/grafana-check"])
def test_options_are_those_of_the_program(program: str) -> None:
    done = subprocess.run(
        [str(ROOT / program), "--help"],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    given = {option for file in FILES for command in commands(file) for option in called(command, program)}
    assert given
    assert given <= set(re.findall(r"--[a-z-]+", done.stdout))


def test_the_jobs_of_the_tests_are_the_stages_of_make() -> None:
    job = jobs(ROOT / ".github" / "workflows" / "tests.yml")["test"]
    stages = re.search(r"^STAGES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert stages is not None
    assert job["strategy"]["matrix"]["stage"] == stages[1].split()
    conditions = re.findall(r"matrix\.stage == '(\w+)'", "".join(str(step.get("if", "")) for step in job["steps"]))
    assert set(conditions) <= set(stages[1].split())
    assert job["steps"][-1]["run"] == 'make "$STAGE"'


# -- the nightly -----------------------------------------------------------------------------------------------------

NIGHTLY = ROOT / ".github" / "workflows" / "nightly.yml"


def test_the_nightly_comes_by_itself_and_by_hand() -> None:
    on = load(NIGHTLY)["on"]
    assert len(on["schedule"]) == 1
    assert set(on["workflow_dispatch"]["inputs"]) == {"duration", "seed", "release"}


def test_the_nightly_is_the_script_and_what_it_keeps_is_uploaded() -> None:
    _, soak, finish, upload = jobs(NIGHTLY)["soak"]["steps"]
    assert soak["run"].startswith("exec .ci/nightly --out runs/nightly ")
    assert (finish["if"], finish["run"]) == ("always()", ".ci/nightly --finish --out runs/nightly")
    assert upload["with"]["path"] == "runs/nightly"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"SEED": "", "RELEASE": ""}, ["--duration", "2h"]),
        ({"SEED": "7", "RELEASE": "3.2.1"}, ["--duration", "2h", "--seed", "7", "--airflow", "3.2.1"]),
        ({"SEED": "7; echo x", "RELEASE": "$(id)"}, ["--duration", "2h", "--seed", "7; echo x", "--airflow", "$(id)"]),
    ],
)
def test_an_input_stays_one_word(tmp_path: Path, variables: dict[str, str], words: list[str]) -> None:
    script = tmp_path / ".ci" / "nightly"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    script.chmod(0o755)
    command = jobs(NIGHTLY)["soak"]["steps"][1]["run"]
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", command],  # noqa: S607
        env={"PATH": os.environ["PATH"], "DURATION": "2h", **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["--out", "runs/nightly", *words]


def test_the_nightly_s_job_lasts_longer_than_its_soak() -> None:
    job = jobs(NIGHTLY)["soak"]
    hours = re.search(r"\|\| '(\d+)h'", job["env"]["DURATION"])
    told = re.search(r"\((\d+)h is what a hosted runner has time for\)", NIGHTLY.read_text())
    beyond = re.search(r"on top of it \(default: (\d+)m\)", (ROOT / "stress" / "soak" / "options.py").read_text())
    assert hours
    assert told
    assert beyond
    assert max(int(hours[1]), int(told[1])) * 60 + int(beyond[1]) + 10 <= job["timeout-minutes"]
