"""The passes of the schedulers' loops, as the mounted part records them."""

from __future__ import annotations

from stress import events
from stress.observers.scheduler_loops import SchedulerLoops
from tests.unit.clusters import PaperCluster


def test_passes_are_counted_once_and_by_scheduler(cluster: PaperCluster) -> None:
    observer = SchedulerLoops(cluster)
    cluster.leave("scheduler_loops/scheduler-1-77.jsonl", '{"t":1.0,"s":0.25}', '{"t":2.0,"s":0.5}')
    cluster.leave("scheduler_loops/scheduler-2-78.jsonl", '{"t":1.5,"s":0.125}')
    assert list(observer.poll()) == [
        events.SchedulerLooped(component="scheduler-1", seconds=[0.25, 0.5]),
        events.SchedulerLooped(component="scheduler-2", seconds=[0.125]),
    ]
    assert list(observer.finish()) == []


def test_a_loop_that_leaves_no_record_is_no_event(cluster: PaperCluster) -> None:
    assert list(SchedulerLoops(cluster).finish()) == []
