"""Schedules of asyncio programs on a controlled event loop. The public interface; see README.md.

The model, and why every schedule in it is one that a program can take
    A *step* is one ready handle of an event loop that is run (or a thread's way to its next blocking call).
    asyncio promises to run handles in the order in which they became ready, so a schedule may not swap two of
    them: that would be a false alarm. What it decides is what asyncio cannot foresee: before each handle, and
    before each poll of the socket, an event from outside may come. A start or a cancellation comes as another
    ready handle at the end of the queue, as from a timer, another task or ``call_soon_threadsafe``; bytes
    become visible at the loop's next poll, as from the kernel. So each schedule is an arrival order of events
    that the stock loop would run in just that way.

    Where it sees less than reality: a thread is only interrupted where it starts, blocks, or calls a loop
    (not between two bytecodes), and nothing can come between two handles that one callback made ready.

A preemption is an event or a switch to another thread while the running one could go on. When the running one
cannot, every choice is free. The models are Coyote, loom, Shuttle and CHESS, each for its own kind of program.
"""

from airflow_stress_explore.aio.kernel import Event
from airflow_stress_explore.aio.pruning import search
from airflow_stress_explore.aio.testbed import Actor, Testbed
from airflow_stress_explore.aio.witness import Recorder
from airflow_stress_explore.core.choice_search import ChoiceSearch
from airflow_stress_explore.core.schedulers import ReplayByPosition

__all__ = ["Actor", "ChoiceSearch", "Event", "Recorder", "ReplayByPosition", "Testbed", "search"]
