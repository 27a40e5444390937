"""Workers in processes of their own: they play at the same time, and one that ends or fails is reported."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import pytest

from airflow_stress_explore.core.search import Drawn, Record
from airflow_stress_explore.core.workers import ForkedWorker, WorkerFailed


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

    def start(self, path: Sequence[str] | Drawn) -> None:
        assert isinstance(path, Sequence)
        self.path = path

    def finish(self) -> Record:
        if self.path == ["end"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.path == ["fail"]:
            raise ValueError("the model is wrong")
        return Record(self.path, [], False, (self.database, self.pair, os.getpid()))


@pytest.fixture
def worker() -> ForkedWorker:
    worker = ForkedWorker(Echo, "postgresql://there")
    worker.prepare("pair")
    worker.wait_until_prepared()
    return worker


def test_it_plays_in_another_process_on_its_own_database(worker: ForkedWorker) -> None:
    for path in (["A", "B"], ["B"]):
        worker.start(path)
        record = worker.finish()
        assert record.choices == path
        assert record.verdict[:2] == ("postgresql://there", "pair")
        assert record.verdict[2] != os.getpid()


def test_a_process_that_ended_is_told(worker: ForkedWorker) -> None:
    worker.start(["end"])
    with pytest.raises(WorkerFailed, match="a worker's process ended"):
        worker.finish()
    with pytest.raises(WorkerFailed, match="a worker's process ended"):
        worker.start([])


def test_what_failed_there_is_told_with_its_traceback(worker: ForkedWorker) -> None:
    worker.start(["fail"])
    with pytest.raises(WorkerFailed, match=r"(?s)Traceback.*ValueError: the model is wrong"):
        worker.finish()


def test_a_pair_that_can_not_be_prepared_is_told_and_the_next_one_can(worker: ForkedWorker) -> None:
    worker.prepare("strange")
    with pytest.raises(WorkerFailed, match="ValueError: no strange"):
        worker.wait_until_prepared()
    worker.prepare("other")
    worker.wait_until_prepared()
    worker.start([])
    assert worker.finish().verdict[1] == "other"


def test_its_process_ends_when_nobody_holds_the_other_end(worker: ForkedWorker) -> None:
    worker.start([])
    there = worker.finish().verdict[2]
    worker.close()
    assert os.waitpid(there, 0)[1] == 0
