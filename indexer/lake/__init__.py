"""Writing a lake: an index of many millions of passages in a folder or on object storage, searched by any number of machines.

    a place that holds what it is asked to hold, and settings             making
    files -> shards: passages, terms, vectors of one unit of files        rows, shard, adding
    shards -> tables of a new generation, in one pass each                streaming, counted
    -> Lance's indexes, recall measured, both routes probed               indexing, measuring
    -> one conditional put that makes it live                             publishing
    what there is, what is wrong with it, back, and what nothing names    keeping

`quarry.indexer.stores.lake` reads it. Every object is written once and whole, except the pointer `lake.json`, which is replaced with
If-Match. So workers may be killed at any moment, the same command resumes, and a writer that was overtaken is told so.
"""
