"""The web framework's part of a request: a session, its commit or rollback, and the answer.

`request` makes a session as the framework's dependency makes it. It is committed when the route's function returns, and
rolled back when the function raises; an HTTPException is an answer. `ask_as_worker` adds what the Execution API does
before it calls a route.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

from airflow_stress_explore.airflow.operation import Response, UnknownInternals, find, supply

_SECURITY = "airflow.api_fastapi.execution_api.security"
_NOT_ADMITTED = "skip_auto_ti_attempt_live"
"""The mark of a route that looks itself whether the attempt is archived, from 3.4 on."""


def request(work: Callable[[Any], Any], claims: tuple[tuple[str, str], ...] = (), code: int = 204) -> Response:
    """Answer as the api-server does."""
    from airflow.utils.session import create_session
    from fastapi import HTTPException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with create_session(scoped=False) as session:
            answer = work(session)
    except HTTPException as refusal:
        detail = refusal.detail
        reason = detail.get("reason", "") if isinstance(detail, dict) else str(detail)
        return Response(f"{refusal.status_code} {reason}".strip())
    except SQLAlchemyError as error:
        # What the application's handlers make of it: an answer after which the worker tries again.
        return Response(f"500 {type(error).__name__}")
    return Response(str(getattr(answer, "status_code", code)), claims)


def call(route: Callable[..., Any], session: Any, **arguments: Any) -> Any:
    """Call a route's function with those of the arguments that it takes. Raises UnknownInternals if it wants others."""
    if not inspect.iscoroutinefunction(route):
        return supply(route, session=session, **arguments)
    return _finish(supply(route, session=_AwaitableSession(session), **arguments))


def ask_as_worker(
    route: Callable[..., Any],
    instance: Any,
    claims: tuple[tuple[str, str], ...] = (),
    code: int = 204,
    **arguments: Any,
) -> Callable[[], Response]:
    """What a worker of this release asks about a task instance.

    A route with admission refuses an archived attempt with 410 or, if it was archived after its admission, with 404. A
    worker handles both alike (`ActivitySubprocess._on_child_started`), so they are one answer here.
    """
    bundle = find("airflow.api_fastapi.execution_api.versions", "bundle")
    admit = _admission_to(route)

    def work(session: Any) -> Any:
        # The version that the worker names. Each actor's thread has its own context.
        bundle.api_version_var.set(bundle.versions[0].value)
        if admit is not None:
            admit(instance)
        return call(route, session, task_instance_id=instance, **arguments)

    def asked() -> Response:
        response = request(work, claims, code)
        refused = admit is not None and response.answer.partition(" ")[0] in ("404", "410")
        return Response("404 or 410") if refused else response

    return asked


def _admission_to(route: Callable[..., Any]) -> Callable[[Any], None] | None:
    """What refuses requests of archived attempts (410) before the route is called, in a separate transaction."""
    try:
        find(_SECURITY, _NOT_ADMITTED)
    except UnknownInternals:  # until 3.3
        return None
    if getattr(route, _NOT_ADMITTED, False):
        return None
    require_live_attempt = find(_SECURITY, "_require_live_attempt")
    find(_SECURITY, "create_session_async")
    importlib.import_module(_SECURITY).create_session_async = _awaitable_session  # type: ignore[attr-defined]

    def admit(instance: Any) -> None:
        _finish(require_live_attempt(SimpleNamespace(id=instance), allow_callback=False))

    return admit


class _AwaitableSession:
    """A session whose methods are awaited: the statements of an AsyncSession, on the engine that actors stop at."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def execute(self, *arguments: Any, **options: Any) -> Any:
        return self._session.execute(*arguments, **options)

    async def scalar(self, *arguments: Any, **options: Any) -> Any:
        return self._session.scalar(*arguments, **options)


@contextlib.asynccontextmanager
async def _awaitable_session() -> AsyncIterator[_AwaitableSession]:
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        yield _AwaitableSession(session)


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The value of a coroutine that awaits nothing but an `_AwaitableSession`. Raises UnknownInternals for another."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise UnknownInternals("a route awaits something else than its session")
