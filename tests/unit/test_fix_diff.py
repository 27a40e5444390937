"""`stress fixes`: what is listed, and what is refused before anything starts."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

from stress.arms import fixes  # makes `airflow_stress_fixes` importable
from stress.arms.fix_diff import refusal, repository_path
from stress.arms.releases import DEFAULT_RELEASE, check
from stress.cli import main
from stress.explore import options

from airflow_stress_fixes.module_text import FormError, Import, ModuleText  # isort: skip

MODULE = """\
from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from other import borrowed, kept

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


# Said before the function.
@borrowed
def first(
    value: int,
) -> int:
    return value


class Owner:
    @classmethod
    def method(cls) -> str:
        return "é"

    def last(self) -> None: ...
"""


@pytest.fixture
def module(tmp_path: Path) -> types.ModuleType:
    """A module whose file has the text above. It is not run: only its text is edited."""
    found = types.ModuleType("edited")
    found.__file__ = str(tmp_path / "edited.py")
    Path(found.__file__).write_text(MODULE, encoding="utf-8")
    return found


def added_and_removed(text: str) -> tuple[list[str], list[str]]:
    """The lines that the text has and the module has not, and the reverse."""
    old, new = MODULE.splitlines(), text.splitlines()
    return [line for line in new if line not in old], [line for line in old if line not in new]


def test_a_function_moves_aside_and_the_helper_stands_before_its_decorators_and_comment(
    module: types.ModuleType,
) -> None:
    text = ModuleText(module)
    text.replace("first", "_first_inner", "def first(value: int) -> int:\n    return _first_inner(value) + ONE\n")
    text.define([("ONE", "ONE = 1")])
    result = text.result()
    assert "ONE = 1\n\n\n# Said before the function.\n@borrowed\ndef _first_inner(\n    value: int,\n" in result
    assert (
        "    return value\n\n\ndef first(value: int) -> int:\n    return _first_inner(value) + ONE\n\n\nclass" in result
    )


def test_a_method_is_replaced_within_its_class(module: types.ModuleType) -> None:
    text = ModuleText(module)
    text.replace(
        "Owner.method", "_method_inner", "@classmethod\ndef method(cls) -> str:\n    return cls._method_inner()\n"
    )
    added, removed = added_and_removed(text.result())
    assert added == ["    def _method_inner(cls) -> str:", "        return cls._method_inner()"]
    assert removed == []


def test_what_an_import_binds_is_replaced_by_another_name_for_it(module: types.ModuleType) -> None:
    text = ModuleText(module)
    text.replace("borrowed", "_borrowed_inner", "def borrowed(function):\n    return _borrowed_inner(function)\n")
    text.require([Import("other", "more")])
    result = text.result()
    assert "from other import borrowed as _borrowed_inner, kept, more\n" in result
    assert result.index("def borrowed(") < result.index("@borrowed")


def test_imports_are_added_where_they_belong_and_only_if_they_are_missing(module: types.ModuleType) -> None:
    text = ModuleText(module)
    text.require([Import("functools"), Import("contextlib"), Import("logging"), Import("collections.abc", "Iterator")])
    text.require_for_annotations([Import("collections.abc", "Callable"), Import("typing", "Any")])
    head = text.result().partition("if TYPE_CHECKING")[0]
    assert head.split("\n\n")[1:3] == [
        "import contextlib\nimport functools\nimport logging\nfrom collections.abc import Iterable, Iterator\n"
        "from typing import TYPE_CHECKING, Any",
        "from other import borrowed, kept",
    ]


def test_a_helper_under_a_name_that_the_module_has_is_refused(module: types.ModuleType) -> None:
    text = ModuleText(module)
    vars(module)["ONE"] = 2
    text.replace("first", "_first_inner", "def first(value: int) -> int:\n    return value\n")
    with pytest.raises(FormError, match="ONE already"):
        text.define([("ONE", "ONE = 1")])


def test_a_definition_that_is_not_there_is_refused(module: types.ModuleType) -> None:
    with pytest.raises(FormError, match="neither defines nor imports absent"):
        ModuleText(module).replace("absent", "_absent_inner", "def absent(): ...\n")


def test_files_of_the_task_sdk_have_its_directory() -> None:
    assert repository_path("airflow/models/trigger.py") == "airflow-core/src/airflow/models/trigger.py"
    assert repository_path("airflow/sdk/execution_time/comms.py") == "task-sdk/src/airflow/sdk/execution_time/comms.py"


def test_every_fix_has_a_diff_exactly_where_it_applies() -> None:
    for fact in fixes.facts():
        for version in ("3.1.8", "3.2.1", "3.3.2"):
            fit = fixes.fit(fact.name, version)
            reason = refusal(fact.name, check(version))
            assert (reason is None) == (fit == "applies")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["list", "deadline_claim"], ["takes no name"]),
        (["diff"], ["needs --airflow VERSION", "needs the NAME"]),
        (["diff", "wishes"], ["needs --airflow VERSION", "there is no fix 'wishes'"]),
        (["diff", "wishes", "--airflow", "2.1.0", "--json"], ["2.1.0 is too old", "'wishes'", "--json is for"]),
        (["diff", "deadline_claim", "--airflow", "3.3.2"], ["deadline_claim is not needed on Airflow 3.3.2"]),
        (["undo"], ["undo"]),
    ],
)
def test_bad_arguments_are_all_told(words: list[str], told: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(["fixes", *words]))
    assert ended.value.code == 64
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [part for part in told if part not in captured.err] == []


def test_a_diff_is_laid_over_the_release_before_it_or_the_default_one(tmp_path: Path) -> None:
    file = tmp_path / "a,b.diff"
    path = "airflow-core/src/airflow/models/trigger.py"
    file.write_text(f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n", encoding="utf-8")
    mistakes: list[str] = []
    for text, version in ((f"3.3.2,diff:{file}", "3.3.2"), (f"diff:{file}", DEFAULT_RELEASE)):
        arm = options.arm(text, "stock", mistakes)
        assert arm is not None
        assert arm.release.version == version
        assert [part.path for part in arm.overlay] == [file]
    assert mistakes == []
    assert options.arm(f"2.1.0,diff:{file}", "stock", mistakes) is None
    assert "2.1.0 is too old" in mistakes[0]


def test_the_list_says_what_each_fix_does_on_one_release(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fixes", "list", "--airflow", "3.3.2", "--json"]) == 0
    listed = {row["fix"]: row for row in json.loads(capsys.readouterr().out)}
    assert listed.keys() == {fact.name for fact in fixes.facts()}
    assert listed["deadline_claim"]["3.3.2"] == "not_needed"
    assert "3.2.1" not in listed["deadline_claim"]


def test_the_module_that_writes_fixes_refuses_bad_arguments() -> None:
    command = [sys.executable, "-m", "airflow_stress_fixes.as_source", "wishes"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2] / "fixes", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 64
    assert "deadline_claim" in done.stderr
