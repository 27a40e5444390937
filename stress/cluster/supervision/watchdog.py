"""The process that cleans up when the harness can't: `python -m stress.cluster.supervision.watchdog RECORD`.

    harness ---- pipe, written once at the end ----> watchdog
       |                                                |
       +-- every process of the run                     +-- a byte: the harness has cleaned up; go home
                                                        +-- the end of the pipe without it: the harness is dead;
                                                            end the run's processes, remove its files

The harness alone holds the pipe's writing end (it is close-on-exec: no component inherits it), so the kernel closes
it however the harness dies, SIGKILL and the out-of-memory killer included. The watchdog is started before anything
else of the run, apart from the terminal's session, and ignores the signals of a terminal and of a service manager's
polite stop: those are for the harness, which ends it.

It imports next to nothing, as it lives as long as the run does. That it lives is the harness's to watch (`guard`).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from stress.cluster.supervision.reaper import end_run
from stress.cluster.supervision.registry import load

GOODBYE = b"q"
READY = b"r"


def main(arguments: Sequence[str]) -> int:
    """Wait for the harness's end."""
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(sig, signal.SIG_IGN)
    record = load(Path(arguments[0]))
    if record is None:
        return 2
    os.write(sys.stdout.fileno(), READY)
    if os.read(sys.stdin.fileno(), 1) == GOODBYE:
        return 0
    return 1 if end_run(record) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
