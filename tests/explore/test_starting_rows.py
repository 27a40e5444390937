"""The order of a starting state's rows does not depend on what was in the table before, or on other databases."""

from __future__ import annotations

import pytest
from release_scripts import run_script


@pytest.mark.parametrize("state", [("failed_tasks",), ("deferred_tasks", "moved_rows")], ids="+".join)
def test_rows_have_their_places_in_a_table_that_was_used_before(state: tuple[str, ...]) -> None:
    found = run_script("3.3.2", "used_tables.py", *state)
    assert len(found) == 10
    assert [line for line in found if line["error"] is not None] == []
