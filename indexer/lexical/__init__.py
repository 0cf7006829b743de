"""Text to terms, terms to BM25.

    text
    -> one form for what is written in several ways          normalization
    -> terms: Chinese words, stemmed Latin words             analyzer; chinese, words
    -> postings and scores                                   bm25
    -> files, checked when they are opened                   files

`analyzer(name)` and `Bm25sIndex` are the doors. Passages and queries go through the same analyzer; its identity is in the
manifest, so that an index made by another one is noticed.
"""
