"""The model's rules name functions of Airflow: each exists in the installed release of its line."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

import pytest

from stress.arms.environments import environment_for
from stress.arms.releases import check
from stress.model.rules import line_of
from stress.model.run_rules import CALLBACK_RULES, DEADLINE_RULES, RUN_RULES
from stress.model.task_rules import RULES


@pytest.mark.parametrize("release", ["3.1.8", "3.2.1", "3.3.2", "3.4.0b2"])
def test_every_rule_names_a_function_of_the_release(release: str) -> None:
    airflow = environment_for(check(release)).site_packages / "airflow"
    line = line_of(release)
    sources = {
        rule.source
        for rule in (*RULES, *RUN_RULES, *CALLBACK_RULES, *DEADLINE_RULES)
        if rule.since <= line and (rule.until is None or line <= rule.until)
    }
    assert [source for source in sorted(sources) if not _exists(airflow, source)] == []
    assert len(sources) > 20


def _exists(airflow: Path, source: str) -> bool:
    module, _, name = source.partition(":")
    path = airflow / f"{module.replace('.', '/')}.py"
    nodes: Sequence[ast.AST] = ast.parse(path.read_text()).body if path.exists() else ()
    found: ast.AST | None = None
    for part in name.split("."):
        found = next((node for node in nodes if getattr(node, "name", None) == part), None)
        if found is None:
            return False
        nodes = getattr(found, "body", ())
    return isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef)
