"""What can go wrong with an arm. The message of each error is a sentence for the user that says what to do next."""

from __future__ import annotations

from stress.errors import StressError


class ArmsError(StressError):
    """Something about an arm, its release or its environment."""


class UnknownRelease(ArmsError):  # noqa: N818 - it says what happened
    """The release does not exist, is too old, or no index could be asked about it. A mistake in the arguments."""


class ArmSpecError(ArmsError):
    """An arm's text could not be read. Carries every mistake in it, not only the first."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class EnvironmentFailed(ArmsError):  # noqa: N818 - it says what happened
    """An Airflow environment could not be made. The machine's fault (network, disk), not the arguments'."""
