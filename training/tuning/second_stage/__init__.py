"""The second stage as the loop tunes it: a map of the query's token vectors, learned in seconds from stored ones.

    examples -> the index's own fused rankings, with stored token vectors    lists
    -> a map that puts the positive first, close to none                     fitting; settings: spec
    -> judged by the held-out queries and the general set, recorded          subject, trials

The encoder is frozen and nothing is encoded again: `quarry.retriever.rerankers.token_map` says why the query's side is enough.
"""
