"""An executor that is never given anything to run: the scheduler's loop wants one."""

from airflow.executors.base_executor import BaseExecutor


class IdleExecutor(BaseExecutor):
    """Accepts nothing, finishes nothing."""

    is_local = False

    def sync(self) -> None:
        """Nothing runs, so nothing has ended."""

    def end(self) -> None:
        """Nothing to wait for."""

    def terminate(self) -> None:
        """Nothing to stop."""
