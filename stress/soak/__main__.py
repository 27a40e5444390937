"""`python3 -m stress.soak`: one soak, or the end of a killed one."""

from __future__ import annotations

import fcntl
import sys
import time
from collections.abc import Sequence
from typing import IO

from stress.exits import EXIT_USAGE
from stress.soak import options
from stress.soak.docker import Docker, machine_fault
from stress.soak.finish import fail, finish
from stress.soak.run import Signals, run
from stress.soak.state import Soak, say

_LOCK_S = 60
"""How long `--finish` waits for a soak that is about to end, or was killed a moment ago."""
_POLL_S = 0.2


def main(words: Sequence[str], least_s: float = options.LEAST_S) -> int:
    """Run one soak, or finish one. `least_s` is the shortest duration that is accepted. Returns the exit code."""
    soak, only_finish = options.read(words, least_s)
    with (soak.out / ".lock").open("w") as lock:
        if not _locked(lock, _LOCK_S if only_finish else 0):
            print(f"nightly: the soak in {soak.out} is running: wait for its end, or interrupt it", file=sys.stderr)
            return EXIT_USAGE
        if only_finish:
            soak = Soak.load(soak.out)  # it may have ended while we waited
            if soak.code is not None:
                say(f"the soak in {soak.out} is finished: exit code {soak.code}")
                return soak.code
        docker = Docker(soak)
        soak.save()
        signals = Signals(soak)
        fault = machine_fault(docker)
        if fault is not None:
            return fail(soak, fault)
        if only_finish:
            soak.reasons.append("the soak was killed before its end, and finished later")
        else:
            say(f"project {soak.project}, duration {soak.duration}, seed {soak.seed}, into {soak.out}")
            run(soak, docker, signals)
        signals.ended.set()
        soak.save()
        return finish(soak, docker)


def _locked(lock: IO[str], seconds: float) -> bool:
    """Take the lock within that time. `flock` has no time limit."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        else:
            return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
