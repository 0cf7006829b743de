"""Vectors that were made apart from an index: shards in a folder, filled by any number of processes or machines.

    settings    what made the vectors: model, chunking; one file, written first
    shard       one shard: vectors of some passages, sealed by a marker that is written last
    folder      which shards are there, whole
    filling     from shards into the vectors that an index keeps, so that building it needs no forward pass

`quarry.indexer.encode` writes them, `quarry index --vectors` reads them. A shard is named by the digest of what is in it, so a
passage that has not changed finds its vector whatever happened around it.
"""
