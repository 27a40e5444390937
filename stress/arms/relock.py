"""`python -m stress.arms.relock [X.Y.Z]...`: write the committed locks again, or one for another known release.

A lock is a pure function of the release and its day, so a second run changes nothing: `git diff` after it shows
whether a lock was edited by hand, or the index removed a file.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from stress.arms.releases import check, known_releases, requirements_directory, resolve
from stress.cache import write_atomically
from stress.errors import StressError


def main(arguments: Sequence[str]) -> int:
    """Resolve each release named, or every one that has a committed lock."""
    versions = list(arguments) or [release.version for release in known_releases() if release.committed_lock]
    try:
        for release in [check(version) for version in versions]:
            write_atomically(requirements_directory() / f"airflow-{release.version}.txt", resolve(release))
            print(f"airflow-{release.version}.txt: as of {release.resolved_as_of}")
    except StressError as error:
        print(f"relock: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
