"""The stages of a search. Each is a Retriever, or wraps one, and leaves a `StageReport` in the ranking.

    dense search, BM25                                single
    -> dense within a time budget, else BM25          hybrid.WithFallback, guard
    -> both fused by their scores                     hybrid.HybridRetriever, fusion; the weights: balance
    -> the other language raised in a mixed index     languages, standout
    -> the best candidates reranked                   rerank; by two rerankers in turn: cascade
       in an index of two languages                   both_languages
    -> exact matches kept in sight                    exact
    -> files that the query names                     named, names
    around all of them: quotation marks, exclusions   operators

`quarry.retriever.pipeline` puts them together, with the `models` of the search. No stage loses a query: what fails or is too slow is
a reason in the report, and the ranking of the stage before stands.
"""
