"""action.yml: by GitHub's schema, pinned, and its commands as bash runs them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from stress.layout import ROOT
from stress.parsers import command_parser, parser
from stress.words import options_of
from tests.unit.test_workflows import checked, load

FILE = ROOT / "action.yml"
STEPS = load(FILE)["runs"]["steps"]
COMPARE = next(step for step in STEPS if step.get("id") == "stress")
STUB = '#!/bin/sh\nprintf "%s\\n" "$@" > "$WORDS"\n{comment}\nexit "$CODE"\n'
COMMENT = 'mkdir -p "$RESULTS"; echo "**removed**" > "$RESULTS/comment.md"'


def test_the_action_is_what_github_takes() -> None:
    done = checked("vendor.github-actions", FILE)
    assert done.returncode == 0, done.stdout


def test_every_action_that_it_uses_is_pinned() -> None:
    used = re.findall(r"^ *-? *uses: *(.*)", FILE.read_text(), re.MULTILINE)
    assert len(used) == sum("uses" in step for step in STEPS) > 0
    assert [u for u in used if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", u)] == []


def test_nothing_is_put_into_a_command_s_text() -> None:
    assert [step["run"] for step in STEPS if "${{" in step.get("run", "")] == []


def test_every_input_is_declared_and_used() -> None:
    used = set(re.findall(r"\binputs\.([\w-]+)", FILE.read_text()))
    assert used == set(load(FILE)["inputs"])


def test_the_options_are_those_of_the_command() -> None:
    given = set(re.findall(r"(?<![\w-])--(?:repo|head|base|out|race|no-load|budget)\b", COMPARE["run"]))
    assert given == {"--repo", "--head", "--base", "--out", "--race", "--no-load", "--budget"}
    assert given <= frozenset().union(*options_of(command_parser(parser(), "pr")))


def compared(
    directory: Path, code: int, comment: str, **variables: str
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The step's command as a runner calls it, with programs that record their words in the place of pip and stress."""
    programs = directory / "airflow-stress-venv" / "bin"
    programs.mkdir(parents=True)
    for name, text in (("pip", "#!/bin/sh\n"), ("stress", STUB.format(comment=comment))):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (directory / "bin").mkdir()
    for name in ("python", "git"):
        (directory / "bin" / name).write_text("#!/bin/sh\n")
        (directory / "bin" / name).chmod(0o755)
    environment = {
        "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
        "RUNNER_TEMP": str(directory),
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_OUTPUT": str(directory / "output"),
        "GITHUB_STEP_SUMMARY": str(directory / "summary"),
        "RESULTS": str(directory / "results"),
        "UPSTREAM": "unused",
        "WORDS": str(directory / "words"),
        "CODE": str(code),
        "HEAD": "abc",
        "BASE": "main",
        "BUDGET": "9.5m",
        "RACES": "",
        **variables,
    }
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", COMPARE["run"]],  # noqa: S607
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, directory


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, ["--budget", "9.5m"]),
        ({"RACES": "deadlock, lost_mark", "BUDGET": "0"}, ["--race", "deadlock", "--race", "lost_mark", "--no-load"]),
        ({"RACES": "x;id"}, ["--race", "x;id", "--budget", "9.5m"]),
    ],
)
def test_the_inputs_become_options(tmp_path: Path, variables: dict[str, str], words: list[str]) -> None:
    done, directory = compared(tmp_path, 0, COMMENT, **variables)
    assert done.returncode == 0, done.stderr
    fixed = [
        "pr",
        "--repo",
        "airflow-under-test",
        "--head",
        "abc",
        "--base",
        "main",
        "--out",
        str(tmp_path / "results"),
    ]
    assert (directory / "words").read_text().splitlines() == [*fixed, *words]


@pytest.mark.parametrize("code", [0, 1, 2])
def test_an_answer_is_passed_on_and_shown(tmp_path: Path, code: int) -> None:
    done, directory = compared(tmp_path, code, COMMENT)
    assert done.returncode == 0, done.stderr
    junit = directory / "results" / "junit.xml"
    assert (directory / "output").read_text() == f"exit-code={code}\njunit={junit}\n"
    assert (directory / "summary").read_text().splitlines() == [
        "**removed**",
        "JUnit: `junit.xml` in the artifact `airflow-stress`",
    ]
    verdict = STEPS[-1]["run"]
    ended = subprocess.run(["bash", "-e", "-c", verdict], env={"CODE": str(code)}, check=False)  # noqa: S607
    assert ended.returncode == code


def test_without_an_answer_the_step_fails_with_the_command_s_code(tmp_path: Path) -> None:
    done, directory = compared(tmp_path, 64, "true")
    assert done.returncode == 64
    assert not (directory / "summary").exists()
