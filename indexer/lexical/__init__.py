"""Text to terms, terms to BM25.

    text
    -> one form for what is written in several ways          normalization
    -> terms: Chinese words, stemmed Latin words             analyzer; chinese, words
    -> postings: term frequencies and lengths, in segments   writer, merge, segment, strings
    -> scores over several segments                          search, index
    finished scores of older indexes                         bm25, files

`analyzer(name)`, `LexicalSegment` and `UnionIndex` (`index`) are the doors. Passages and queries go through the same analyzer; its
identity is in the manifest, so that an index made by another one is noticed.
"""
