"""Stores whose candidates come from a server that users run already: `milvus` and `qdrant`, behind the protocol of all stores.

    a collection per store, filled, searched, counted, removed         server (the protocol), milvus, qdrant
    which servers an index folder may name                             known
    -> candidates from the server, similarities from the own vectors   store

The vectors themselves stay in the index folder, sealed as those of other stores: it can be copied, verified and merged without the
server, and a collection that is lost is made again by the next rebuild. Points are row numbers, so no id has to be quoted.
"""
