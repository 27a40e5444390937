"""Delays and loses packets in user space, for kernels without netem: runs in a helper, in a component's network.

    python -m stress.cluster.compose.delayer DELAY_MS JITTER_MS LOSS_PERCENT

An iptables rule sends packets to queue 0 (NFQUEUE); the kernel keeps them and tells us their numbers over netlink, and
each goes on its way when we say so (linux/netfilter/nfnetlink_queue.h). Only the numbers are copied, never a packet's
content. With the rule's `--queue-bypass` packets pass when no process listens. Standard library only: it starts in
50 ms.
"""

from __future__ import annotations

import heapq
import random
import select
import socket
import struct
import sys
import time

READY = "delaying"

_NETLINK_NETFILTER = 12
_SUBSYSTEM_QUEUE = 3 << 8
_PACKET, _VERDICT, _CONFIG = 0, 1, 2  # kinds of messages of that subsystem
_CONFIG_COMMAND, _CONFIG_PARAMETERS, _CONFIG_LENGTH = 1, 2, 3  # attributes of _CONFIG
_BIND, _COPY_META = 1, 1
_VERDICT_HEADER = 2
_DROP, _ACCEPT = 0, 1
_ERROR = 2
_HEADER = struct.Struct("=IHHII")  # netlink: length, kind, flags, sequence, port
_QUEUE_LENGTH = 65536
_BUFFER_BYTES = 4 << 20


def message(kind: int, attribute: int, content: bytes) -> bytes:
    """A netlink message for queue 0 with one attribute."""
    padded = content + b"\0" * (-len(content) % 4)
    body = struct.pack("!BBH", 0, 0, 0) + struct.pack("=HH", 4 + len(content), attribute) + padded
    return _HEADER.pack(_HEADER.size + len(body), _SUBSYSTEM_QUEUE | kind, 1, 0, 0) + body


def packets(data: bytes) -> list[int]:
    """The numbers of the packets that the kernel tells of. Raises OSError for an error that it tells of."""
    found, offset = [], 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if kind == _SUBSYSTEM_QUEUE | _PACKET:
            # After netlink's header and the subsystem's of 4 bytes comes the attribute with the packet's number.
            found.append(struct.unpack_from("!I", data, offset + _HEADER.size + 4 + 4)[0])
        elif kind == _ERROR and (code := struct.unpack_from("=i", data, offset + _HEADER.size)[0]):
            raise OSError(-code, "the packet queue can't be used")
        offset += (length + 3) & ~3
    return found


def delay(delay_s: float, jitter_s: float, loss: float) -> None:
    """Until the process is ended. `loss` is a probability."""
    queue = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    queue.bind((0, 0))
    queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    queue.send(message(_CONFIG, _CONFIG_COMMAND, struct.pack("!BBH", _BIND, 0, 0)))
    queue.send(message(_CONFIG, _CONFIG_PARAMETERS, struct.pack("!IB", 0, _COPY_META)))
    queue.send(message(_CONFIG, _CONFIG_LENGTH, struct.pack("!I", _QUEUE_LENGTH)))
    print(READY, flush=True)
    waiting: list[tuple[float, int, int]] = []
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        if select.select([queue], [], [], timeout)[0]:
            now = time.monotonic()
            for number in packets(queue.recv(_QUEUE_LENGTH)):
                due = now + max(0.0, delay_s + random.uniform(-jitter_s, jitter_s))  # noqa: S311 - no secret
                heapq.heappush(waiting, (due, number, _DROP if random.random() < loss else _ACCEPT))  # noqa: S311
        while waiting and waiting[0][0] <= time.monotonic():
            _, number, verdict = heapq.heappop(waiting)
            queue.send(message(_VERDICT, _VERDICT_HEADER, struct.pack("!II", verdict, number)))


if __name__ == "__main__":
    milliseconds, jitter, percent = map(float, sys.argv[1:])
    delay(milliseconds / 1000, jitter / 1000, percent / 100)
