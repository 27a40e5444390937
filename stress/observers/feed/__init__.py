"""The change feed: an observer of every committed change, by PostgreSQL's logical decoding.

    tables.py     what is read: the tables and columns of interest
    server.py     what the block's database gets for it: a publication, and triggers that name the writer
    stream.py     the replication connection: a slot, a snapshot, then messages as they come
    pgoutput.py   the messages of PostgreSQL's output plugin `pgoutput`, decoded
    rows.py       messages to transactions with their changed columns
    observer.py   the observer: blind when the feed has a gap or comes too late

docs/explanation/change-feed.md has the reasons.
"""
