"""A request to a supervisor that is gone: it fails at once, in whatever thread, and a runner's process ends."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asgiref.sync import sync_to_async
from mounting import read_report
from supervisor import Supervisor
from test_out_of_order_frame_triggerer_comms import on_stream, request

from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit

FIX = "comms_end"
FIXES_DIRECTORY = Path(__file__).resolve().parents[2] / "fixes"
PROCESS_TIMEOUT_S = 60.0
"""Importing Airflow takes three seconds, on a busy machine many more."""


@pytest.fixture
def fixed(mounted: Any, release: str) -> Iterator[None]:
    """Both fixes of the comms: each release needs one of them."""
    with mounted("triggerer_comms", FIX) as status:
        assert status[FIX] == ("loaded" if FIXES[FIX].fits(release) is Fit.APPLIES else "not_needed")
        assert sorted(status.values()) == ["loaded", "not_needed"]
        yield


async def until_reader_ends(comms: Any) -> None:
    """Wait until the reader has noticed that nothing more comes."""
    await asyncio.wait([getattr(comms, "_reader_task", None) or comms._reader])


async def by_asend(comms: Any) -> None:
    """As a coroutine does."""
    await comms.asend(request("late"))


async def by_sync_to_async(comms: Any) -> None:
    """As a BigQuery trigger does."""
    await sync_to_async(comms.send)(request("late"))


async def by_a_plain_thread(comms: Any) -> None:
    """As a library's own thread does."""
    await asyncio.to_thread(comms.send, request("late"))


async def from_another_loop(comms: Any) -> None:
    """As under ``async_to_sync``."""
    await asyncio.to_thread(asyncio.run, comms.asend(request("late")))


@pytest.mark.parametrize("ask", [by_asend, by_sync_to_async, by_a_plain_thread, from_another_loop])
@pytest.mark.usefixtures("fixed")
def test_who_asks_after_the_end_is_told_at_once(ask: Callable[[Any], Awaitable[None]]) -> None:
    async def late(comms: Any, supervisor: Supervisor) -> Any:
        supervisor.hang_up()
        await until_reader_ends(comms)
        with pytest.raises(ConnectionError, match="the connection to the supervisor has ended") as told:
            await ask(comms)
        assert isinstance(told.value.__cause__, asyncio.IncompleteReadError)
        return comms._pending if hasattr(comms, "_pending") else comms._waiters

    assert on_stream(late) == {}, "nothing is left behind"


@pytest.mark.usefixtures("fixed")
def test_a_reader_that_failed_is_told_with_its_reason() -> None:
    async def garbage(comms: Any, supervisor: Supervisor) -> None:
        supervisor.send_garbage()
        await until_reader_ends(comms)
        with pytest.raises(ConnectionError) as told:
            await comms.asend(request("late"))
        assert isinstance(told.value.__cause__, msgspec.MsgspecError)

    on_stream(garbage)


@pytest.mark.usefixtures("fixed")
def test_before_the_end_all_is_as_it_was() -> None:
    async def answered(comms: Any, _: Supervisor) -> list[str]:
        return [(await comms.asend(request("one"))).value, (await sync_to_async(comms.send)(request("two"))).value]

    assert on_stream(answered) == ["one", "two"]


RUNNER = """
import asyncio
from airflow.jobs import triggerer_job_runner
from airflow.sdk.execution_time.comms import GetVariable

runner = triggerer_job_runner.TriggerRunner()
init_comms = runner.init_comms

async def trigger():
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await runner.comms_decoder.asend(GetVariable(key="last"))
        raise

async def init_comms_and_a_trigger():
    await init_comms()
    task = asyncio.get_running_loop().create_task(trigger())
    runner.triggers[1] = {"task": task, "is_watcher": False, "name": "t", "events": 0}

runner.init_comms = init_comms_and_a_trigger
runner.run()
"""


def test_a_runner_with_a_trigger_that_asks_at_its_end_ends(release: str, tmp_path: Path) -> None:
    """The real process: its supervisor goes while it waits for the answer to its first request."""
    from airflow.jobs.triggerer_job_runner import messages
    from airflow.sdk.execution_time.comms import _ResponseFrame

    supervisor, theirs = socket.socketpair()
    supervisor.settimeout(PROCESS_TIMEOUT_S)
    supervisor.sendall(_ResponseFrame(id=0, body=messages.StartTriggerer().model_dump()).as_bytes())
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNER],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            "PYTHONPATH": str(FIXES_DIRECTORY),
            "AIRFLOW_STRESS_FIXES": FIX,
            "AIRFLOW_STRESS_FIX_REPORT_DIR": str(tmp_path),
        },
    )
    try:
        with theirs, supervisor:
            assert supervisor.recv(1 << 16), "it has asked for its triggers"
        # A runner that waits for ever makes this raise TimeoutExpired.
        process.wait(PROCESS_TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
    statuses = [line["status"] for line in read_report(tmp_path)]
    assert statuses == ["armed", "loaded" if FIXES[FIX].fits(release) is Fit.APPLIES else "not_needed"]
