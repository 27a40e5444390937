"""What a thread lock around write and read really does (#64620's proposal)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_out_of_order_frame_triggerer_comms import cancelled_after_the_write, on_stream, request

from airflow_stress_fixes.catalogue import FIXES
from airflow_stress_fixes.fix import Fit

FIX = "proposed_thread_lock"
HANG_S = 3.0
"""How long the loop may stand still before it counts as hung; it needs milliseconds."""


@pytest.fixture(autouse=True)
def _needs_the_defect(release: str, mounted: Any) -> None:
    """On a repaired release all there is to see is that the proposal says so."""
    if FIXES[FIX].fits(release) is not Fit.APPLIES:
        with mounted(FIX) as status:
            assert status == {FIX: "not_needed"}
        pytest.skip("the triggerer's stream is repaired in this release: reported as not needed")


def test_still_out_of_order_after_a_cancellation(mounted: Any) -> None:
    with mounted(FIX) as status:
        assert status == {FIX: "loaded"}
        with pytest.raises(RuntimeError, match="Response read out of order!"):
            on_stream(cancelled_after_the_write)


async def two_coroutines(comms: Any, _supervisor: Any) -> list[str]:
    """Two coroutines of one loop ask at the same time."""
    return [reply.value for reply in await asyncio.gather(comms.asend(request("a")), comms.asend(request("b")))]


HANGS = f"""
import faulthandler
from mounting import mounted_fixes
from test_out_of_order_frame_proposed_thread_lock import two_coroutines
from test_out_of_order_frame_triggerer_comms import on_stream

with mounted_fixes("{FIX}"):
    faulthandler.dump_traceback_later({HANG_S}, exit=True)  # in a thread: the loop can't look at a clock
    print(on_stream(two_coroutines))
"""


def test_two_coroutines_hang_the_runner(mounted: Any) -> None:
    """In a process of its own, which can be given up."""
    here = Path(__file__).parent
    # pytest lies beside the release's environment, which holds nothing but what its lock says.
    path = os.pathsep.join(map(str, [here.parents[1] / "fixes", here, Path(pytest.__file__).parents[1]]))
    environment = {**os.environ, "PYTHONPATH": path}
    hung = subprocess.run(
        [sys.executable, "-c", HANGS],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert (hung.returncode, hung.stdout) == (1, ""), hung.stderr
    loop_thread = hung.stderr.split("Thread 0x")[-1]
    assert "Timeout" in hung.stderr
    assert "proposed_thread_lock.py" in loop_thread.splitlines()[1], "the loop's thread stands at the lock"

    assert on_stream(two_coroutines) == ["a", "b"]
    with mounted("triggerer_comms"):
        assert on_stream(two_coroutines) == ["a", "b"]
