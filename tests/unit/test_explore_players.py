"""Players in processes of their own: they play at the same time, and one that ends or fails is told."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import pytest

from airflow_stress_explore.explore import Record
from airflow_stress_explore.players import Beside, PlayerFailed


class Echo:
    """Tells its database and its path back."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.path: Sequence[str] = ()

    def start(self, path: Sequence[str]) -> None:
        self.path = path

    def finish(self) -> Record:
        if self.path == ["end"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.path == ["fail"]:
            raise ValueError("the model is wrong")
        return Record(self.path, [], False, (self.database, os.getpid()))


@pytest.fixture
def player() -> Beside:
    player = Beside(Echo, "postgresql://there")
    player.wait_until_ready()
    return player


def test_it_plays_in_another_process_on_its_own_database(player: Beside) -> None:
    for path in (["A", "B"], ["B"]):
        player.start(path)
        record = player.finish()
        assert record.choices == path
        assert record.verdict[0] == "postgresql://there"
        assert record.verdict[1] != os.getpid()


def test_a_process_that_ended_is_told(player: Beside) -> None:
    player.start(["end"])
    with pytest.raises(PlayerFailed, match="a player's process ended"):
        player.finish()


def test_what_failed_there_is_told_with_its_traceback(player: Beside) -> None:
    player.start(["fail"])
    with pytest.raises(PlayerFailed, match=r"(?s)Traceback.*ValueError: the model is wrong"):
        player.finish()


def test_a_player_that_can_not_be_made_is_told() -> None:
    def make(database: str) -> Echo:
        raise ValueError(f"no {database}")

    with pytest.raises(PlayerFailed, match="ValueError: no database"):
        Beside(make, "database").wait_until_ready()


def test_its_process_ends_when_nobody_holds_the_other_end(player: Beside) -> None:
    player.start([])
    there = player.finish().verdict[1]
    player.close()
    assert os.waitpid(there, 0)[1] == 0
