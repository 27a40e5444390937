"""The explorer's packages: what each may import, and that no imports form a cycle, those for types included."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from stress.layout import MOUNTED

PACKAGE = "airflow_stress_explore"
ROOT = MOUNTED / PACKAGE

ALLOWED = {
    "core": {"core"},
    "sql": {"core", "sql", "sqlalchemy", "psycopg2"},
    "aio": {"core", "aio"},
}
"""What the packages that know nothing of Airflow may import, besides the standard library."""


def module_of(file: Path) -> str:
    parts = (PACKAGE, *file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in sorted(ROOT.rglob("*.py"))}


def imports_of(file: Path) -> set[str]:
    """Every module that a file imports, anywhere in it; a name imported from a package may be a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            assert node.module is not None
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= submodules or {node.module}
    return found


def layer_of(name: str) -> str:
    parts = name.split(".")
    return parts[1] if parts[0] == PACKAGE and len(parts) > 1 else parts[0]


@pytest.mark.parametrize("layer", ALLOWED)
def test_a_layer_imports_only_what_it_may(layer: str) -> None:
    files = [file for module, file in MODULES.items() if layer_of(module) == layer]
    assert len(files) > 3
    foreign = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files
        for name in imports_of(file)
        if layer_of(name) not in ALLOWED[layer] and name.split(".")[0] not in sys.stdlib_module_names
    }
    assert foreign == set()


def test_no_imports_form_a_cycle() -> None:
    # Each package's own __init__ re-exports its modules; a module that imports a sibling does not import that.
    graph = {module: (imports_of(file) & MODULES.keys()) - {module} for module, file in MODULES.items()}
    while True:
        leaves = {module for module, targets in graph.items() if not targets}
        if not leaves:
            break
        graph = {module: targets - leaves for module, targets in graph.items() if module not in leaves}
    assert graph == {}


def test_no_module_has_more_than_400_lines() -> None:
    long = {module: len(file.read_text("utf-8").splitlines()) for module, file in MODULES.items()}
    assert {module: lines for module, lines in long.items() if lines > 400} == {}
