"""Every fix can be written into the source of the release that it applies to.

That the result behaves as the mounted fix does is shown by the reproducers (``tests/explore/test_fix_diffs.py``).
"""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_stress_fixes import as_source
from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit


@pytest.mark.parametrize("name", FIXES)
def test_a_fix_is_source_of_the_release_alone(name: str, release: str) -> None:
    fix = FIXES[name]
    if fix.fits(release) is not Fit.APPLIES:
        pytest.skip(f"{name} does not apply to {release}")
    texts = as_source.texts(fix)
    assert Path(str(sys.modules[fix.module].__file__)) in texts
    for path, text in texts.items():
        old = path.read_text(encoding="utf-8")
        assert text != old
        assert "airflow_stress" not in text
        # Every name that it uses is there: nothing of the fix's own module was left out.
        assert set(_unknown_names(text)) == set(_unknown_names(old))
        # Nothing of the release is gone: what was replaced is there under another name.
        assert _statements(old) <= _statements(text)
        assert set(text.splitlines()) >= {
            line for line in old.splitlines() if line.lstrip().startswith(("return", "raise", "session", "#"))
        }


def test_the_process_is_left_without_the_fix() -> None:
    from airflow.models.trigger import Trigger

    before = vars(Trigger)["clean_unused"]
    as_source.texts(FIXES["sweep_row_claims"])
    assert vars(Trigger)["clean_unused"] is before


def _statements(text: str) -> int:
    return sum(isinstance(node, ast.stmt) for node in ast.walk(ast.parse(text)))


def _unknown_names(text: str) -> Iterator[str]:
    """Global names that functions read and the module does not bind."""
    top = symtable.symtable(text, "module", "exec")
    bound = {
        symbol.get_name()
        for symbol in top.get_symbols()
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    }
    waiting = list(top.get_children())
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        for symbol in table.get_symbols():
            name = symbol.get_name()
            if symbol.is_global() and symbol.is_referenced() and name not in bound and not hasattr(builtins, name):
                yield name
