"""The text of a module of Airflow, with edits: a definition moved aside, another in its place, helpers, imports.

Positions come from the syntax tree and the rest of the text stays as it is, so that a diff shows what has changed and
nothing else.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

_LINE = 110
"""The longest line of Airflow's style."""


class FormError(Exception):
    """A fix that cannot be written as source; the message says why."""


@dataclass(frozen=True, order=True)
class Import:
    """``import module``, or ``from module import name``."""

    module: str
    name: str = ""

    def __str__(self) -> str:
        return f"from {self.module} import {self.name}" if self.name else f"import {self.module}"

    @property
    def bound(self) -> str:
        """The name that it binds."""
        return self.name or self.module.partition(".")[0]


@dataclass
class Names:
    """Names that a piece of source uses: when it runs, and in annotations."""

    running: set[str] = field(default_factory=set)
    annotated: set[str] = field(default_factory=set)
    imports: set[Import] = field(default_factory=set)
    """Imports that it needs besides those of its module."""

    def add(self, other: Names) -> None:
        """Take another piece's names, too."""
        self.running |= other.running
        self.annotated |= other.annotated
        self.imports |= other.imports


def first_line(node: ast.stmt) -> int:
    """The line where a statement begins, decorators included."""
    decorators: Sequence[ast.expr] = getattr(node, "decorator_list", ())
    return min([node.lineno, *(each.lineno for each in decorators)])


class Edits:
    """Replacements in a text, by the positions of its syntax tree (lines from 1, columns in UTF-8 bytes)."""

    def __init__(self, text: str) -> None:
        self._bytes = text.encode()
        self._starts = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._edits: list[tuple[int, int, bytes]] = []

    def put(self, begin: tuple[int, int], end: tuple[int, int], text: str) -> None:
        """Replace what is between two positions."""
        self._edits.append((self._starts[begin[0] - 1] + begin[1], self._starts[end[0] - 1] + end[1], text.encode()))

    def node(self, node: ast.expr | ast.stmt | ast.alias, text: str) -> None:
        """Replace a node's text."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        self.put((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset), text)

    def result(self) -> str:
        """The text with all edits in it. Those at one position stand in the order in which they were made."""
        text = self._bytes
        in_order = sorted(self._edits, key=lambda edit: edit[:2])
        for begin, end, new in reversed(in_order):
            text = text[:begin] + new + text[end:]
        return text.decode()


class ModuleText:
    """A module's text while it is edited."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.path = Path(str(module.__file__))
        self._text = self.path.read_text(encoding="utf-8")
        self._tree = ast.parse(self._text)
        self._edits = Edits(self._text)
        self._places: list[ast.stmt] = []
        self._required: set[Import] = set()
        self._changed: dict[ast.ImportFrom, list[str]] = {}
        """What each import that changes imports in the end."""

    def replace(self, place: str, inner: str, wrapper: str) -> None:
        """Rename a definition, or what an import binds, to `inner`, and put `wrapper` in its place."""
        *owner, name = place.split(".")
        top = next((node for node in reversed(self._tree.body) if _defines(node, owner[0] if owner else name)), None)
        if top is None:
            self._replace_import(name, inner, wrapper)
            return
        node = _member(top, name) if owner else top
        self._places.append(top)
        # The name follows `def`, `async def` or `class`.
        line = self._text.splitlines()[node.lineno - 1].encode()
        column = line.index(name.encode(), node.col_offset)
        self._edits.put((node.lineno, column), (node.lineno, column + len(name.encode())), inner)
        assert node.end_lineno is not None
        end = (node.end_lineno, len(self._text.splitlines()[node.end_lineno - 1].encode()))
        indent, blank = ("    ", "\n\n") if owner else ("", "\n\n\n")
        self._edits.put(end, end, blank + indented(wrapper, indent).rstrip("\n"))

    def _replace_import(self, name: str, inner: str, wrapper: str) -> None:
        aliases = [
            (node, alias)
            for node in self._tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
            if (alias.asname or alias.name) == name
        ]
        if not aliases:
            raise FormError(f"{self.module.__name__} neither defines nor imports {name}")
        node, alias = aliases[-1]
        names = self._names(node)
        names[names.index(ast.unparse(alias))] = f"{alias.name} as {inner}"
        first = next(node for node in self._tree.body if isinstance(node, DEFINITIONS))
        self._places.append(first)
        self._insert_before(first, wrapper)

    def define(self, helpers: Sequence[tuple[str, str]]) -> None:
        """Put helpers, by name, before the first definition that was replaced."""
        taken = [name for name, _ in helpers if name in vars(self.module)]
        if taken:
            raise FormError(f"{self.module.__name__} has {', '.join(taken)} already: name the fix's helper otherwise")
        first = min(self._places, key=first_line)
        for _, text in helpers:
            self._insert_before(first, text)

    def require(self, imports: Iterable[Import]) -> None:
        """Import what the module does not have when it runs."""
        self._required.update(set(imports) - _imports_in(self._tree.body))

    def require_for_annotations(self, imports: Iterable[Import]) -> None:
        """Import what the module does not have even for type checkers."""
        guarded = [node for each in self._tree.body if isinstance(each, ast.If) for node in each.body]
        self._required.update(set(imports) - _imports_in([*self._tree.body, *guarded]))

    def result(self) -> str:
        """The edited text."""
        for module in sorted({each.module for each in self._required if each.name}):
            self._add_from(module, sorted(each.name for each in self._required if each.module == module and each.name))
        for each in sorted(self._required):
            if not each.name:
                self._add_statement(each.module, str(each), plain=True)
        for node, names in self._changed.items():
            self._edits.node(node, _from(str(node.module), names))
        return self._edits.result()

    def _insert_before(self, node: ast.stmt, text: str) -> None:
        lines = self._text.splitlines()
        line = first_line(node)
        while line > 1 and lines[line - 2].startswith("#"):
            line -= 1
        self._edits.put((line, 0), (line, 0), text.strip("\n") + "\n\n\n")

    def _add_from(self, module: str, names: Sequence[str]) -> None:
        same = [node for node in self._tree.body if isinstance(node, ast.ImportFrom) and node.module == module]
        if not same:
            self._add_statement(module, _from(module, names), plain=False)
            return
        self._names(same[0]).extend(names)

    def _names(self, node: ast.ImportFrom) -> list[str]:
        """What an import imports, to be changed."""
        return self._changed.setdefault(node, [ast.unparse(alias) for alias in node.names])

    def _add_statement(self, module: str, statement: str, *, plain: bool) -> None:
        """A new import where Airflow's isort order has it: by section, ``import`` before ``from``, by module."""

        def order(name: str, is_plain: bool) -> tuple[int, bool, str]:
            top = name.partition(".")[0]
            section = 0 if top in sys.stdlib_module_names else 2 if top == "airflow" else 1
            return section, not is_plain, name

        mine = order(module, plain)
        existing = [
            (
                order(
                    node.names[0].name if isinstance(node, ast.Import) else str(node.module),
                    isinstance(node, ast.Import),
                ),
                node,
            )
            for node in self._tree.body
            if isinstance(node, (ast.Import, ast.ImportFrom)) and getattr(node, "module", "") != "__future__"
        ]
        before = [node for position, node in existing if position < mine and position[0] == mine[0]]
        if before:
            node = max(before, key=lambda each: each.lineno)
            assert node.end_lineno is not None
            self._edits.put((node.end_lineno + 1, 0), (node.end_lineno + 1, 0), statement + "\n")
            return
        after = [(position, node) for position, node in existing if position > mine]
        if not after:
            raise FormError(f"{self.module.__name__} has no place for {statement!r}")
        position, node = min(after, key=lambda each: each[1].lineno)
        gap = "" if position[0] == mine[0] else "\n"
        self._edits.put((node.lineno, 0), (node.lineno, 0), statement + "\n" + gap)


def indented(text: str, indent: str) -> str:
    """The text with each line that is not empty moved to the right."""
    return "".join(indent + line if line.strip() else line for line in text.splitlines(keepends=True))


def _imports_in(body: Iterable[ast.stmt]) -> set[Import]:
    found = set()
    for node in body:
        if isinstance(node, ast.ImportFrom):
            found |= {Import(node.module or "", alias.name) for alias in node.names if alias.asname is None}
        elif isinstance(node, ast.Import):
            found |= {Import(alias.name) for alias in node.names if alias.asname is None}
    return found


def _defines(node: ast.stmt, name: str) -> bool:
    return isinstance(node, DEFINITIONS) and node.name == name


def _member(owner: ast.stmt, name: str) -> Definition:
    """The definition that a class's name means at run time: the last one."""
    members = [node for node in getattr(owner, "body", ()) if _defines(node, name)]
    if not members:
        raise FormError(f"{getattr(owner, 'name', owner)} does not define {name} itself")
    found: Definition = members[-1]
    return found


def _from(module: str, names: Sequence[str]) -> str:
    """A ``from`` import as ruff formats it: constants, classes, then the rest."""

    def order(name: str) -> tuple[int, str]:
        plain = name.partition(" ")[0]
        return (0 if plain.isupper() and len(plain) > 1 else 1 if plain[:1].isupper() else 2), plain

    ordered = sorted(dict.fromkeys(names), key=order)
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= _LINE:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in ordered) + ")"
