"""Code of one's own as an arm: wheels, a checkout of Airflow, or a diff, laid over the packages of a release.

    wheel       a file; its packages are unpacked into the cache, since Airflow reads templates and migrations as files;
                several wheels go into one directory, as an installation has them
    checkout    a directory: Airflow's repository (`airflow-core/src`, `task-sdk/src`), or a folder with an `airflow`
                package. It is used where it is; with `@REV`, the files of that revision are written to the cache, and
                the user's work tree and its git metadata stay as they are
    diff        a unified diff against Airflow's repository, applied to a copy of the installed packages

`spec` reads an arm's text into parts and finds every mistake before anything starts; nothing is written then.
`directories` makes the directories for PYTHONPATH when a run is prepared. They go before the release's own packages;
Airflow's packages may be spread over several directories (`pkgutil.extend_path`).
"""

from __future__ import annotations

from stress.arms.overlay.part import Package, Part
from stress.arms.overlay.prepare import IMPORTS, directories, import_failure, written

__all__ = ["IMPORTS", "Package", "Part", "directories", "import_failure", "written"]
