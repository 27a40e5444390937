"""Calls `uv`, the one tool that resolves and installs: fast, and strict about hashes.

It gets the environment as it is (proxies, certificate authorities, an index of one's own), but for two things:
the variables of the Python that *we* run in are removed, because uv would install into it, and where only pip is
configured with an index, uv gets it too: a machine on which `pip install` works behind a mirror needs no second
setting.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO

from uv import find_uv_bin

from stress.arms import index
from stress.arms.errors import EnvironmentFailed

_TAIL_LINES = 12
_OURS = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT", "UV_EXCLUDE_NEWER")


def uv_environment() -> dict[str, str]:
    """The environment for uv."""
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    if not any(environment.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL")):
        configured = index.configured_index()
        if configured:
            environment["UV_DEFAULT_INDEX"] = configured
    return environment


def run_uv(
    arguments: Sequence[str],
    *,
    timeout_s: float,
    stdin: str = "",
    progress: Callable[[str], None] | None = None,
    keep_open: Sequence[int] = (),
) -> str:
    """Run uv and return what it printed. Its own lines (`Prepared 120 packages`) go to `progress` as they come.

    uv outlives a harness that is killed; `keep_open` are the descriptors of locks that it then still needs.
    """
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    out: list[str] = []
    process = subprocess.Popen(
        [find_uv_bin(), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=uv_environment(),
        pass_fds=keep_open,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    threads = [
        threading.Thread(target=_listen, args=(process.stderr, tail, progress), daemon=True),
        threading.Thread(target=lambda stdout: out.append(stdout.read()), args=(process.stdout,), daemon=True),
    ]
    with process:
        for thread in threads:
            thread.start()
        try:
            process.stdin.write(stdin)
            process.stdin.close()
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise EnvironmentFailed(
                f"uv {arguments[0]} {arguments[1]} had not ended after {timeout_s:.0f} s (is the network very slow?): "
                + _joined(tail)
            ) from None
        finally:
            # Also on Ctrl-C: uv must not go on installing behind the user's back.
            if process.poll() is None:
                process.kill()
        for thread in threads:
            thread.join(5)
    if code != 0:
        raise EnvironmentFailed(f"uv {arguments[0]} {arguments[1]} failed with exit code {code}: {_joined(tail)}")
    return "".join(out)


def _listen(stderr: IO[str], tail: deque[str], progress: Callable[[str], None] | None) -> None:
    for line in map(str.rstrip, stderr):
        if line:
            tail.append(line)
            # ` + package==version`, a hundred times, would push everything else off the screen.
            if progress is not None and not line.startswith(" + "):
                progress(line.strip())


def _joined(lines: deque[str]) -> str:
    return " | ".join(line.strip() for line in lines) or "it said nothing"


def main(arguments: Sequence[str]) -> None:
    """Become uv, with the index that pip is configured for: `python -m stress.arms.uvtool pip sync ...`."""
    program = find_uv_bin()
    os.execve(program, [program, *arguments], uv_environment())  # noqa: S606 - a list made by us, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
