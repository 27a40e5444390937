"""A deadline's callback. It is named by path only; nothing here runs it."""


async def on_miss(**kwargs: object) -> None:
    """Do nothing."""


def on_failure(context: object) -> None:
    """Of a task: it only has to have one."""
