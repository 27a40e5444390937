"""fixes/README.md: its table is the catalogue. What it says to mount elsewhere is tested in `test_hotfix.py`."""

from __future__ import annotations

import re

from stress.arms.fixes import facts
from stress.layout import ROOT

README = (ROOT / "fixes" / "README.md").read_text()


def test_the_tables_list_every_fix() -> None:
    assert re.findall(r"^\| `(\w+)` \| [a-z -]+ \| ", README, re.MULTILINE) == [fix.name for fix in facts()]
