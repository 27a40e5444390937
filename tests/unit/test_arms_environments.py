"""Environments are made once, and made again when they are only half there. No network: uv is played by a function."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from stress.arms import environments, index, uvtool
from stress.arms.environments import environment_for
from stress.arms.errors import EnvironmentFailed
from stress.arms.releases import check
from stress.cache import CacheLocked, cache_directory, exclusive

RELEASE = check("3.2.1")


class FakeUv:
    """Makes the files that uv would make, and counts."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail_at: str | None = None

    def __call__(
        self,
        arguments: Sequence[str],
        *,
        keep_open: Sequence[int],
        **_others: object,
    ) -> str:
        assert keep_open, "a uv that outlives us must keep the lock"
        self.calls.append(arguments[0])
        if arguments[0] == "venv":
            directory = Path(arguments[-1])
            (directory / "bin").mkdir(parents=True)  # fails if there is something already, as a real one would
            (directory / "bin" / "python").symlink_to(sys.executable)
            (directory / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
        if arguments[0] == self.fail_at:
            raise EnvironmentFailed("no space left on device")
        return ""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    """uv, played."""
    fake = FakeUv()
    monkeypatch.setattr(environments, "run_uv", fake)
    return fake


def test_an_environment_is_made_once(uv: FakeUv) -> None:
    first = environment_for(RELEASE)
    assert environment_for(RELEASE) == first
    assert uv.calls == ["venv", "pip"]
    assert first.python.exists()


@pytest.mark.usefixtures("uv")
def test_a_half_made_environment_is_made_again() -> None:
    directory = environment_for(RELEASE).python.parents[1]
    (directory / ".complete").unlink()
    debris = directory / "debris"
    debris.touch()
    environment_for(RELEASE)
    assert not debris.exists()
    assert (directory / ".complete").exists()


@pytest.mark.usefixtures("uv")
def test_an_environment_whose_python_is_gone_is_made_again() -> None:
    python = environment_for(RELEASE).python
    python.unlink()
    python.symlink_to("/nonexistent/python")
    assert environment_for(RELEASE).python.exists()


def test_a_failure_leaves_nothing_and_says_where_and_how_much_room(uv: FakeUv, cache: Path) -> None:
    uv.fail_at = "pip"
    with pytest.raises(EnvironmentFailed, match=r"3\.2\.1 could not be made in .* MB free there\): no space left"):
        environment_for(RELEASE)
    assert not [path for path in (cache / "envs").iterdir() if path.is_dir()]


def test_a_lock_held_by_another_process_is_waited_for_only_so_long(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    program = (
        f"import fcntl; f = open({str(lock)!r}, 'a'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    )
    told: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(CacheLocked, match=r"waited 0 s for another process to do it"),
            exclusive(lock, "do it", 0.1, told.append),
        ):
            pytest.fail("two held the same lock")
        holder.kill()
    assert told == ["waiting for another process to do it"]
    with exclusive(lock, "do it", 5, told.append):  # the dead holder has let go
        pass


def test_uv_is_not_told_of_our_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"):
        monkeypatch.setenv(variable, "/ours")
    monkeypatch.setenv("SSL_CERT_FILE", "/theirs")
    environment = uvtool.uv_environment()
    assert not {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"} & environment.keys()
    assert environment["SSL_CERT_FILE"] == "/theirs"


def test_uv_is_told_of_the_index_that_only_pip_knew(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(index, "configured_index", lambda: "https://mirror.invalid/simple")
    assert uvtool.uv_environment()["UV_DEFAULT_INDEX"] == "https://mirror.invalid/simple"


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_STRESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_directory() == Path("/somewhere/airflow-stress")


def test_what_uv_said_is_in_the_error() -> None:
    with pytest.raises(EnvironmentFailed, match=r"uv pip nonsense failed with exit code 2: .*nonsense"):
        uvtool.run_uv(["pip", "nonsense"], timeout_s=30)


def test_a_child_that_outlives_the_holder_keeps_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    program = (
        "import os, subprocess, sys\n"
        "from pathlib import Path\n"
        "from stress.cache import exclusive\n"
        f"with exclusive(Path({str(lock)!r}), 'do it', 1, print) as held:\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=0, pass_fds=[held])\n"
        "    print('held', flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        assert holder.wait(20) == -9
        with pytest.raises(CacheLocked, match="waited"), exclusive(lock, "do it", 0.1, print):
            pytest.fail("the child's lock was taken")
        holder.stdin.close()  # the child ends
        with exclusive(lock, "do it", 20, print):
            pass
