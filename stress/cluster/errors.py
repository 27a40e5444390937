"""What can go wrong with a cluster. The message of each error is a sentence for the user that says what to do next."""

from __future__ import annotations

from stress.errors import StressError


class ClusterError(StressError):
    """Something about the place where a run happens: the machine's fault, not the arguments'."""


class PostgresError(ClusterError):
    """The embedded PostgreSQL could not be found, started or asked."""


class ComponentFailed(ClusterError):  # noqa: N818 - it says what happened
    """A component of the cluster did not become, or did not stay, what it should be."""


class StillAlive(ClusterError):  # noqa: N818 - it says what happened
    """Processes outlived being killed."""


class FaultImpossible(ClusterError):  # noqa: N818 - it says what happened
    """The runtime has no means for a fault: the plan should not have allowed it."""
