"""Seats: the home directory and the ports that blocks use one after another.

A preloaded parent has them in its environment, so that it can fork the components of each block that takes the same
seat.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stress.cluster.ports import free_port, is_free

PLACES = 2
"""Preloaded parents of an arm; also the default number of peers of a kind."""

_PORTS_OF_A_PLACE = 3


@dataclass
class Seat:
    """One seat. Each block finds its home empty."""

    home: Path
    api_port: int
    service_ports: tuple[int, ...]
    taken: bool = False

    @property
    def shared(self) -> Path:
        """The directory that components and harness share."""
        return self.home / "shared"

    @property
    def api_url(self) -> str:
        """The api-server's address."""
        return f"http://127.0.0.1:{self.api_port}"

    def ports_of(self, place: int) -> tuple[int, ...]:
        """The ports of the servers that components of a place may start."""
        return self.service_ports[_PORTS_OF_A_PLACE * place : _PORTS_OF_A_PLACE * (place + 1)]


class Seats:
    """The seats of a run. `directory` is where their homes are."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seats: list[Seat] = []

    def take(self, peers: int) -> Seat:
        """A seat that nothing else uses until its `taken` is False again. `peers`: the most components of a kind."""
        seat = self.free(max(PLACES, peers))
        seat.taken = True
        return seat

    def free(self, peers: int = PLACES) -> Seat:
        """The seat that `take` will return next."""
        for seat in self._seats:
            # If another program took a port meanwhile, the seat is useless, and its parents with it.
            if not seat.taken and len(seat.service_ports) >= _PORTS_OF_A_PLACE * peers and is_free(seat.api_port):
                return seat
        home = self._directory / f"airflow-{len(self._seats)}"
        seat = Seat(home, free_port(), tuple(free_port() for _ in range(_PORTS_OF_A_PLACE * peers)))
        seat.home.mkdir()
        self._seats.append(seat)
        return seat
