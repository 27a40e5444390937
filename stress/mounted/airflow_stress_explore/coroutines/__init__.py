"""Explores the triggerer's coroutines: its real comms, on an event loop under control, one schedule after another.

What is real and what is under control
    The release's own ``TriggerRunner.init_comms``, ``TriggerCommsDecoder`` and frames, over a real socket pair,
    with asyncio's own tasks, streams and transports, and asgiref's bridges in real threads. Under control are the
    things that a scheduler decides: when a caller starts, when the supervisor answers (a peer in the same process,
    stepped by the schedule), when a cancellation is asked for, when time passes, and which thread goes on. Nothing
    ever waits for a clock: when nothing can go on, that *is* the finding (a hang).

The model, and why every schedule in it is one that Airflow can take
    A *step* is one ready handle of an event loop that is run (or a thread's way to its next blocking call).
    asyncio promises to run handles in the order in which they became ready, so a schedule may not swap two of
    them: that would be a false alarm. What it decides is what asyncio can't foresee: before each handle, and
    before each poll of the socket, an event from outside may come. A start or a cancellation comes as another
    ready handle at the end of the queue, as from a timer, another task or ``call_soon_threadsafe``; an answer
    becomes visible at the loop's next poll, as from the kernel. So each schedule is an arrival order of events
    that the stock loop would run in just that way.

    Where it sees less than reality: a thread is only interrupted where it starts, blocks, or talks to a loop
    (not between two bytecodes), and of two handles that one and the same callback made ready nothing can come
    in between.

A preemption is an event or a switch to another thread while the running one could go on. When the running one
can't, every choice is free. The models are Coyote, loom, Shuttle and CHESS, each for its own kind of program.

::

    __main__    one JSON request in, one JSON object a line out
    pairs       which callers meet, and what each race's twin is            (a pair is a few lines to add)
    comms       the stage: runner, socket pair, supervisor, invariants      (knows Airflow)
    witness     a schedule told step by step
    search      all schedules to K preemptions, equivalent ones left out    (knows no Airflow, like all below)
    schedule    choices, and their short string
    loop        the event loop
    threads     threads handed over one at a time, and their locks
    world       who can go on, and who does
"""
