"""What the syntax tree of a fix's module says: names, functions, decorators."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from airflow_stress_fixes.module_text import DEFINITIONS, Import

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

_PLACING = ("replacing", "wraps")
"""Decorators that only put a replacement in its place."""


def loads(node: ast.AST) -> Iterator[tuple[ast.Name, ast.AST]]:
    """Each name that is read, with the node around it."""
    for parent in ast.walk(node):
        for child in ast.iter_child_nodes(parent):
            if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load):
                yield child, parent


def functions(
    node: ast.AST, around: list[ast.stmt]
) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, list[ast.stmt]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS):
            yield child, around
            yield from functions(child, [*around, child])
        else:
            yield from functions(child, around)


def imports_of(functions: Iterable[ast.stmt]) -> dict[str, Import]:
    return {
        name: each
        for function in functions
        for name, each in bindings(getattr(function, "body", ()))
        if isinstance(each, Import)
    }


def bindings(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.stmt | Import]]:
    for node in body:
        if isinstance(node, ast.If):
            yield from bindings(node.body)
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            yield from ((alias.name, Import(node.module or "", alias.name)) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, Import(alias.name)) for alias in node.names)
        elif isinstance(node, DEFINITIONS):
            yield node.name, node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((each.id, node) for each in targets if isinstance(each, ast.Name))


def annotations_of(node: ast.AST) -> Iterator[ast.AST]:
    for each in ast.walk(node):
        found = [getattr(each, "annotation", None), getattr(each, "returns", None)]
        yield from (annotation for annotation in found if isinstance(annotation, ast.AST))


def own_names(node: ast.AST) -> set[str]:
    """The names that a function binds itself."""
    if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return set()
    inside = [each for each in ast.walk(node) if each is not node]
    return {
        *(each.arg for each in inside if isinstance(each, ast.arg)),
        *(each.id for each in inside if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)),
        *(each.name for each in inside if isinstance(each, FUNCTIONS) and isinstance(node, FUNCTIONS)),
    }


def places(decorator: ast.expr) -> bool:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in _PLACING


def is_string(node: ast.stmt | None) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
