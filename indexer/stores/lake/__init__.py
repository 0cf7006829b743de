"""Reading a lake: texts, vectors and terms of many millions of passages in Lance tables, in a folder or on object storage.

    objects    where it lies: whole objects, put where there is none, replaced where nobody else was faster
    s3         the same on S3 and what speaks its protocol (extra `scale`)
    layout     the names of objects, and the records: pointer, settings, generation
    tables     Lance tables, opened at the version that a generation names
    where      filters as predicates, which stand for the passages that they let through
    texts      documents and passages by id: a `ChunkTable`
    lexical    BM25: candidates from Lance's full-text index, scores by our own formula
    vectors    nearest passages: a `VectorStore`
    view       a small index folder on this machine that stands for a lake: pointer, manifests, what users said

`quarry.indexer.lake` writes what is read here. A view's manifest has the store kind `lake`, and `quarry.indexer.stores.parts` opens it like
any other generation.
"""
