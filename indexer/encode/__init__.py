"""Encoding a corpus apart from any index, by any number of processes or machines, into shards.

    files -> units: files that one worker reads together          units
    a unit -> passages and titles, in shards that wait            cut
    a waiting shard -> vectors, in a sealed shard                 encoding
    all of it: a worker's share, one unit after another           work
    the same on a Ray cluster, which schedules and restarts       cluster

Every step is a pure function of its input with a result that is there whole or not at all. So the same command resumes, two workers
may do the same thing, and Ray is one way of calling them beside Slurm, xargs or several terminals. `quarry.indexer.shards`
describes the files; `quarry index --vectors` takes them.
"""
