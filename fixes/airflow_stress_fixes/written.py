"""The source of a fix's functions, as it stands in the module that they patch.

In the fix, a replacement is defined within a function that knows the module, and uses names of that function. Written
into the module it has none of them: each becomes what it stood for.
"""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from airflow_stress_fixes.module_text import Edits, FormError, Import, Names, first_line
from airflow_stress_fixes.syntax import (
    FUNCTIONS,
    Function,
    annotations_of,
    bindings,
    functions,
    imports_of,
    is_string,
    loads,
    own_names,
    places,
)

_PACKAGE = "airflow_stress_fixes"


@dataclass(frozen=True)
class Replaced:
    """A definition that a fix has replaced. `stock` and `now` are what the owner's namespace holds."""

    module: ModuleType
    owner: Any
    name: str
    stock: Any
    now: Any

    @property
    def place(self) -> str:
        """Qualified name in the module."""
        return self.name if self.owner is self.module else f"{self.owner.__name__}.{self.name}"

    @property
    def inner(self) -> str:
        """The name that the stock definition gets."""
        return f"{self.name if self.name.startswith('_') else '_' + self.name}_inner"

    def reference(self, value: Any) -> str | None:
        """How the module's code refers to the stock definition, if `value` is it."""
        if self.owner is self.module:
            return self.inner if value is self.stock else None
        place = f"{self.owner.__name__}.{self.inner}"
        if isinstance(self.stock, classmethod) and value is self.stock.__func__:
            return f"{place}.__func__"
        same = value is self.stock or value is getattr(self.stock, "__func__", self.stock)
        return place if same else None


class FixSource:
    """The source of a fix's module."""

    def __init__(self, module: ModuleType) -> None:
        self.path = Path(str(module.__file__))
        self._text = self.path.read_text(encoding="utf-8")
        self.tree = ast.parse(self._text)
        self.bound: Mapping[str, ast.stmt | Import] = dict(bindings(self.tree.body))

    def piece(self, first: int, last: int) -> str:
        """Some lines, moved to the left margin."""
        return textwrap.dedent("".join(self._text.splitlines(keepends=True)[first - 1 : last]))

    def used_in(self, node: ast.AST) -> Names:
        """The names of the fix's module that a piece of it uses."""
        notes = {id(each) for annotation in annotations_of(node) for each in ast.walk(annotation)}
        own = own_names(node)
        names = Names()
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and each.id in self.bound and each.id not in own:
                (names.annotated if id(each) in notes else names.running).add(each.id)
        return names

    def used_by(self, helper: str) -> Names:
        """The names of the fix's module that one of its helpers uses."""
        statement = self.bound[helper]
        assert isinstance(statement, ast.stmt)
        return self.used_in(statement)

    def helpers(self, used: Iterable[Names]) -> list[str]:
        """The helpers that these names mean, and those that they use in turn, in the order of the fix's module."""
        found: set[str] = set()
        waiting = [name for names in used for name in names.running]
        while waiting:
            name = waiting.pop()
            statement = self.bound[name]
            if name not in found and isinstance(statement, ast.stmt):
                found.add(name)
                waiting += self.used_in(statement).running
        return [name for name in self.bound if name in found]

    def imports(self, names: Iterable[str]) -> list[Import]:
        """Those of these names that the fix's module imports. Raises FormError for what Airflow does not have."""
        found = [each for name in names if isinstance(each := self.bound[name], Import)]
        for each in found:
            if each.module.startswith(_PACKAGE):
                raise FormError(f"it uses {each.name} of {each.module}, which Airflow does not have")
        return found

    def helper_text(self, name: str, module: ModuleType) -> str:
        """A helper's source, with the string that documents it, without the local imports that the module has."""
        node = self.bound[name]
        assert isinstance(node, ast.stmt)
        number = self.tree.body.index(node)
        following = self.tree.body[number + 1] if number + 1 < len(self.tree.body) else None
        documented = isinstance(node, (ast.Assign, ast.AnnAssign)) and is_string(following)
        last = following if documented and following is not None else node
        text = self.piece(first_line(node), last.end_lineno or last.lineno)
        edits = Edits(text)
        _drop_known_imports(edits, text.splitlines(), ast.parse(text), module)
        return edits.result().rstrip()

    def function(self, function: FunctionType) -> tuple[Function, list[ast.stmt]]:
        """A function's definition, and the functions around it, the outermost first."""
        line = function.__code__.co_firstlineno
        for node, around in functions(self.tree, []):
            if first_line(node) == line:
                return node, around
        raise FormError(f"{function.__qualname__} is not in {self.path.name}")


def function_text(source: FixSource, one: Replaced, function: FunctionType, summary: str) -> tuple[str, Names]:
    """A function in the place of a stock one, and what it uses of the fix's module."""
    found, around = source.function(function)
    text = source.piece(found.lineno, found.end_lineno or found.lineno)
    node = ast.parse(text).body[0]
    assert isinstance(node, FUNCTIONS)
    names = source.used_in(node)
    names.running -= set(function.__code__.co_freevars)
    edits = Edits(text)
    column = text.encode().index(node.name.encode())
    edits.put((1, column), (1, column + len(node.name.encode())), one.name)
    begin = _Beginning(one, names)
    values = _captured(function)
    imported = imports_of(around)
    for each, parent in loads(node):
        if each.id in values:
            _put_value(edits, each, parent, values, imported, begin)
    _drop_known_imports(edits, text.splitlines(), node, one.module)
    _begin_body(edits, text.splitlines(), node, summary, begin.lines())
    decorators = [line for each in found.decorator_list if (line := f"@{ast.unparse(each)}") and not places(each)]
    names.add(source.used_in(ast.Module([ast.Expr(d) for d in found.decorator_list if not places(d)], [])))
    if any(map(places, found.decorator_list)) and (node.args.vararg or node.args.kwarg):
        # The signature stays the stock one's for those who look at it.
        raw = ".__func__" if isinstance(one.stock, (classmethod, staticmethod)) else ""
        decorators.insert(0, f"@functools.wraps({one.inner}{raw})")
        names.imports.add(Import("functools"))
    if isinstance(one.now, (classmethod, staticmethod)):
        decorators.insert(0, f"@{type(one.now).__name__}")
    return "\n".join([*decorators, edits.result().rstrip()]), names


def class_text(source: FixSource, one: Replaced, made: type) -> tuple[str, Names]:
    """A subclass in the place of a stock class, and what it uses of the fix's module."""
    methods = [
        m for m in vars(made).values() if isinstance(m, FunctionType) and m.__code__.co_filename == str(source.path)
    ]
    if not methods:
        raise FormError(f"the class in the place of {one.place} is not in {source.path.name}")
    method, around = source.function(methods[0])
    found = next((n for n in ast.walk(source.tree) if isinstance(n, ast.ClassDef) and method in n.body), None)
    if found is None or len(found.bases) != 1:
        raise FormError(f"the class in the place of {one.place} must have one base, the stock class")
    text = source.piece(first_line(found), found.end_lineno or found.lineno)
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.ClassDef)
    values = {name: value for m in methods for name, value in _captured(m).items() if name != "__class__"}
    imported = imports_of(around)
    names = source.used_in(node)
    edits = Edits(text)
    # Up to the colon, the note for the type checker after it included.
    end = len(text.splitlines()[node.lineno - 1].encode())
    edits.put((node.lineno, 0), (node.lineno, end), f"class {one.name}({one.inner}):")
    names.running.discard(getattr(node.bases[0], "id", ""))
    for name in sorted(values):
        names.running.discard(name)
        if name not in imported:
            raise FormError(f"the class in the place of {one.place} captures {name}, which is not an import")
        if vars(one.module).get(name) is not values[name]:
            names.imports.add(imported[name])
    _drop_known_imports(edits, text.splitlines(), node, one.module)
    return edits.result().rstrip(), names


class _Beginning:
    """What a written function begins with: imports and constants, which the fix's function found around it."""

    def __init__(self, one: Replaced, names: Names) -> None:
        self.one = one
        self.names = names
        self._imports: dict[str, Import] = {}
        self._constants: dict[str, str] = {}

    def lines(self) -> list[str]:
        """The statements."""
        modules = dict.fromkeys(sorted(each.module for each in self._imports.values()))
        imports = [
            f"from {module} import {', '.join(sorted(i.name for i in self._imports.values() if i.module == module))}"
            for module in modules
        ]
        constants = [f"{name} = {text}" for name, text in self._constants.items()]
        return [*imports, *([""] if imports else []), *constants]

    def object(self, value: Any, name: str, known: Import | None) -> str:
        """How to name a class or a function here; imported where the module does not have it."""
        scope = vars(self.one.module)
        here = [each for each in (name, getattr(value, "__name__", name), *scope) if scope.get(each) is value]
        if here:
            return here[0]
        wanted = known or Import(value.__module__, value.__qualname__)
        self._imports[wanted.name] = wanted
        return wanted.name

    def constant(self, name: str, value: Any, classes: Iterable[type]) -> str:
        """Give a name a constant value."""
        self._constants[name] = self._literal(value, list(classes))
        return name

    def _literal(self, value: Any, classes: list[type]) -> str:
        for owner in classes:
            for name, held in vars(owner).items():
                if held is value and not isinstance(value, (bool, int, str, type(None))):
                    return f"{self.object(owner, owner.__name__, None)}.{name}"
        if isinstance(value, enum.Enum):
            return f"{self.object(type(value), type(value).__name__, None)}.{value.name}"
        if isinstance(value, (set, frozenset)):
            inside = ", ".join(sorted(self._literal(each, classes) for each in value))
            return f"{{{inside}}}" if value else "set()"
        if isinstance(value, tuple):
            return repr(tuple(value)) if all(isinstance(v, (str, int)) for v in value) else self._refuse(value)
        if value is None or isinstance(value, (bool, int, float, str)):
            return repr(value)
        return self._refuse(value)

    def _refuse(self, value: Any) -> str:
        raise FormError(f"{self.one.place}: the replacement captures {value!r}, which has no source form")


def _put_value(
    edits: Edits,
    name: ast.Name,
    parent: ast.AST,
    values: Mapping[str, Any],
    imported: Mapping[str, Import],
    begin: _Beginning,
) -> None:
    """Write what a captured name stands for in its place."""
    one, value = begin.one, values[name.id]
    if value is one.module:
        if not isinstance(parent, ast.Attribute):
            raise FormError(f"{one.place}: the replacement uses the module other than for an attribute")
        edits.node(parent, parent.attr)
    elif (reference := one.reference(value)) is not None:
        _put_stock(edits, name, parent, one, reference)
    elif value is one.now:
        edits.node(name, one.name)
    elif isinstance(value, inspect.Signature):
        reference = one.reference(getattr(one.stock, "__func__", one.stock))
        begin.names.imports.add(Import("inspect"))
        edits.node(name, f"inspect.signature({reference})")
    elif isinstance(value, str) and not isinstance(value, enum.Enum):
        edits.node(name, json.dumps(value))
    elif isinstance(value, (type, FunctionType)) or (callable(value) and name.id in imported):
        edits.node(name, begin.object(value, name.id, imported.get(name.id)))
    else:
        begin.constant(name.id, value, [each for each in values.values() if isinstance(each, type)])


def _put_stock(edits: Edits, name: ast.Name, parent: ast.AST, one: Replaced, reference: str) -> None:
    """A call of a stock method with the own object is a call on that object."""
    if (
        one.owner is not one.module
        and isinstance(parent, ast.Call)
        and parent.func is name
        and parent.args
        and isinstance(parent.args[0], ast.Name)
        and not isinstance(one.stock, staticmethod)
    ):
        own: ast.Name = parent.args[0]
        following: list[ast.expr | ast.keyword] = [*parent.args[1:], *parent.keywords]
        end = (following[0].lineno, following[0].col_offset) if following else (own.end_lineno, own.end_col_offset)
        assert end[0] is not None
        assert end[1] is not None
        edits.put((name.lineno, name.col_offset), (end[0], end[1]), f"{own.id}.{one.inner}(")
    else:
        edits.node(name, reference)


def _begin_body(edits: Edits, text: list[str], node: Function, summary: str, lines: list[str]) -> None:
    """Document a function, and define what it begins with."""
    first = node.body[0]
    new = []
    if is_string(first):
        first = node.body[1]
    else:
        new.append(f'"""{summary[:1].upper()}{summary[1:]}."""')
    new += lines
    indent = " " * first.col_offset
    number = first_line(first)
    while text[number - 2].lstrip().startswith("#"):
        number -= 1
    edits.put((number, 0), (number, 0), "".join(f"{indent}{line}".rstrip() + "\n" for line in new))


def _drop_known_imports(edits: Edits, text: list[str], tree: ast.AST, module: ModuleType) -> None:
    """Leave out local imports of what the module has under the same name."""
    for function in ast.walk(tree):
        if not isinstance(function, FUNCTIONS):
            continue
        local = [node for node in function.body if isinstance(node, ast.ImportFrom)]
        if not local:
            continue
        kept = {node: _unknown(node, module) for node in local}
        for node, names in kept.items():
            assert node.end_lineno is not None
            if not names:
                edits.put((node.lineno, 0), (node.end_lineno + 1, 0), "")
            elif len(names) < len(node.names):
                edits.node(node, f"from {node.module} import {', '.join(names)}")
        after = local[-1].end_lineno or 0
        # The blank line that divided them from the rest goes with them, unless a definition needs it.
        blank = not text[after].strip()
        needed = blank and text[after + 1].lstrip().startswith(("def ", "class ", "@", "async def "))
        if blank and not needed and not any(kept.values()):
            edits.put((after + 1, 0), (after + 2, 0), "")


def _unknown(node: ast.ImportFrom, module: ModuleType) -> list[str]:
    """What the module does not have of an import."""
    source = importlib.import_module(str(node.module))
    missing = object()
    return [
        ast.unparse(alias)
        for alias in node.names
        if vars(module).get(alias.asname or alias.name, missing) is not getattr(source, alias.name, None)
    ]


def _captured(function: FunctionType) -> dict[str, Any]:
    cells = function.__closure__ or ()
    return {name: cell.cell_contents for name, cell in zip(function.__code__.co_freevars, cells, strict=True)}
