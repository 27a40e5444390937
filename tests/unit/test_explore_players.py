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
        self.pair = ""

    def prepare(self, pair: str) -> None:
        if pair == "strange":
            raise ValueError(f"no {pair}")
        self.pair = pair

    def start(self, path: Sequence[str]) -> None:
        self.path = path

    def finish(self) -> Record:
        if self.path == ["end"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.path == ["fail"]:
            raise ValueError("the model is wrong")
        return Record(self.path, [], False, (self.database, self.pair, os.getpid()))


@pytest.fixture
def player() -> Beside:
    player = Beside(Echo, "postgresql://there")
    player.prepare("pair")
    player.wait_until_prepared()
    return player


def test_it_plays_in_another_process_on_its_own_database(player: Beside) -> None:
    for path in (["A", "B"], ["B"]):
        player.start(path)
        record = player.finish()
        assert record.choices == path
        assert record.verdict[:2] == ("postgresql://there", "pair")
        assert record.verdict[2] != os.getpid()


def test_a_process_that_ended_is_told(player: Beside) -> None:
    player.start(["end"])
    with pytest.raises(PlayerFailed, match="a player's process ended"):
        player.finish()
    with pytest.raises(PlayerFailed, match="a player's process ended"):
        player.start([])


def test_what_failed_there_is_told_with_its_traceback(player: Beside) -> None:
    player.start(["fail"])
    with pytest.raises(PlayerFailed, match=r"(?s)Traceback.*ValueError: the model is wrong"):
        player.finish()


def test_a_pair_that_can_not_be_prepared_is_told_and_the_next_one_can(player: Beside) -> None:
    player.prepare("strange")
    with pytest.raises(PlayerFailed, match="ValueError: no strange"):
        player.wait_until_prepared()
    player.prepare("other")
    player.wait_until_prepared()
    player.start([])
    assert player.finish().verdict[1] == "other"


def test_its_process_ends_when_nobody_holds_the_other_end(player: Beside) -> None:
    player.start([])
    there = player.finish().verdict[2]
    player.close()
    assert os.waitpid(there, 0)[1] == 0
