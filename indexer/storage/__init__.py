"""An index on disk: whole generations side by side, and one pointer that says which is live.

    one writer at a time                                     locks, generations.writer_lock
    -> `Generations.begin`: a hidden folder                  generations; layout names its parts
    -> texts: files, documents, chunks                       chunk_table, chunk_schema; filters: conditions, matching
    -> vectors by passage digest, shared by generations      vector_cache, blob_cache
    -> manifest with the digest of every file                manifest, sealing
    -> `Generations.commit`: fsync, rename, switch           generations, pointer, durable
    readers keep theirs until they let go                    hold

`Generations` is the door; `quarry.indexer.opened` opens a generation for searching. `relabel` makes a generation that differs
in its reranker only. Finished files never change, so a crash leaves the old state or the new one.
"""
