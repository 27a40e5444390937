"""Free ports on 127.0.0.1.

The kernel gives outgoing connections their ports from `ip_local_port_range`; a port below that range, once found free,
can only be taken by another server. So that is where we look, at random, and never hand out the same one twice.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

from stress.cluster.errors import ClusterError

_LOWEST = 15000
_TRIES = 200
_handed_out: set[int] = set()


def free_port() -> int:
    """A port that no process listens on now, and that this process did not return before."""
    for _ in range(_TRIES):
        port = random.randrange(_LOWEST, _ephemeral_start())  # noqa: S311 - nothing secret about a port
        if port not in _handed_out and is_free(port):
            _handed_out.add(port)
            return port
    raise ClusterError(f"no free port on 127.0.0.1 after {_TRIES} tries: too many servers run on this machine")


def is_free(port: int) -> bool:
    """Whether a server could listen on that port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: a port that is only in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ephemeral_start() -> int:
    try:
        start = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return 32768
    # A machine may let outgoing connections use nearly everything; then there is no better place.
    return start if start > _LOWEST + 1000 else 60999
