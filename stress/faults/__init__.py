"""Faults, injected while the load lasts. One file a fault."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from stress.faults.base import Fault
from stress.faults.cutoff import CutOff
from stress.faults.kill import Kill
from stress.faults.pause import Pause
from stress.faults.postgres import PostgresRestart
from stress.faults.restart import Restart
from stress.faults.sessions import Sessions
from stress.faults.slow import Slow

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {fault.name: fault for fault in (Kill(), Restart(), Pause(), CutOff(), Slow(), PostgresRestart(), Sessions())}
)
"""Every fault by its name."""
