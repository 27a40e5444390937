"""The reports of a run: results.json, report.html, junit.xml and summary.md, one module each.

Every format is a pure function from `Results` (and `RunFacts`) to a string; `files.write_all` is the only code here
which touches a disk. `terminal` renders the same table for the end of a run, `text` is how all of them write a
number.
"""

from stress.report.files import FILE_NAMES, write_all

__all__ = ["FILE_NAMES", "write_all"]
