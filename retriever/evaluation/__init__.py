"""Runs and judgements in, measures with intervals and comparisons out.

    a run and judgements -> values per query -> means with intervals     evaluate, measures, bootstrap
    two evaluations -> paired test, interval, verdict                    compare
    -> the same by language, length or metadata                          slices
    -> the languages of questions and of their documents, as metadata    language_pairs
    -> the queries behind a difference                                   cases
    a route of an opened index, with ceiling and latency                 routes, ceiling
    a model alone, in memory                                             embedder
    files: saved evaluations, and runs from elsewhere                    saved, judged_runs

The doors are `evaluate` and `compare`; `evaluate_route` (routes) asks an index first. A query without an answer scores 0, and
one that cannot be scored is named with its reason.
"""
